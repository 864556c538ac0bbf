/* Settings of the process: words that one thread may write while others read them. Nothing hangs on their order. */
#ifndef MINIDL_CORE_SETTING_H
#define MINIDL_CORE_SETTING_H

#define setting_read(word) __atomic_load_n(word, __ATOMIC_RELAXED)
#define setting_write(word, value) __atomic_store_n(word, value, __ATOMIC_RELAXED)

#endif
