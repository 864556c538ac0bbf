/* What the direct weight gradient and Winograd's have in common: the register tile swept over O x K sums of one band. */

/* Zeros in the lanes that hold no image. */
INLINE void mask_lanes(T *x, size vectors, VI mask) {
    for (size i = 0; i < vectors; i++) store(x + i * L, (V)((VI)load(x + i * L) & mask));
}

/* sums[m * sums_row + k] += sum over rows and their `length` vectors of dy_m * x_k; columns from `real` on go to db[m]. */
static void grad_tiles(size rows, const grad_row *row, size length, size dy_channel, size x_step, size O, size K, size real,
                       const size *offset, T *sums, size sums_row, T *db) {
    T part[GRAD_SUMS];
    size m_tiles = tile_count(O, GRAD_M), k_tiles = tile_count(K, GRAD_P);
    for (size mt = 0; mt < m_tiles; mt++) {
        size m = tile_start(O, m_tiles, mt), M = tile_start(O, m_tiles, mt + 1) - m;
        for (size kt = 0; kt < k_tiles; kt++) {
            size k = tile_start(K, k_tiles, kt), P = tile_start(K, k_tiles, kt + 1) - k;
            grad_tile((int)M, (int)P, rows, row, length, dy_channel, m * dy_channel, x_step, offset + k, part);
            for (size i = 0; i < M; i++) {
                for (size j = 0; j < P; j++) {
                    if (k + j < real) sums[(m + i) * sums_row + k + j] += part[i * P + j];
                    else db[m + i] += part[i * P + j];
                }
            }
        }
    }
}
