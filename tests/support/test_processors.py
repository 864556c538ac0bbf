"""Made-up trees of /proc and control groups, as systemd, Docker, Kubernetes and batch systems leave them."""

from __future__ import annotations

import os

import pytest

from minidl.support.processors import usable_processors, wanted_threads

V2 = "30 23 0:26 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
V1_GROUPS = "12:memory:/other\n4:cpu,cpuacct:{group}\n0::/init.scope\n"


@pytest.fixture
def system(monkeypatch, tmp_path):
    """A machine of 8 processors: groups and mounts of the process, and the files below /sys/fs/cgroup."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)

    def make(groups, mounts, files):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
        (tmp_path / "proc/self/mountinfo").write_text(f"22 1 8:1 / / rw - ext4 /dev/sda rw\n{mounts}\n")
        for name, text in files.items():
            path = tmp_path / "sys/fs/cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def v1(folder, quota, period="100000"):
    base = f"cpu,cpuacct/{folder}"
    return {f"{base}cpu.cfs_quota_us": f"{quota}\n", f"{base}cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("quota", "processors"),
    [
        ("max 100000\n", 8),
        ("300000 100000\n", 3),
        ("350000 100000\n", 3),  # down
        ("199999 100000\n", 1),
        ("40000 100000\n", 1),  # at least one
        ("125000 50000\n", 2),
        ("1600000 100000\n", 8),  # no more than there are
        ("", 8),
        ("a b\n", 8),
        ("100000 0\n", 8),
        ("-1 100000\n", 8),
    ],
)
def test_a_quota_of_version_2_is_a_limit_rounded_down(system, quota, processors):
    assert usable_processors(system("0::/\n", V2.format(top="/"), {"cpu.max": quota})) == processors


@pytest.mark.parametrize(("inner", "outer", "processors"), [("max", "250000", 2), ("300000", "500000", 3)])
def test_the_smallest_quota_of_nested_groups_counts(system, inner, outer, processors):
    files = {"user.slice/cpu.max": f"{outer} 100000", "user.slice/job 1/cpu.max": f"{inner} 100000"}
    assert usable_processors(system("0::/user.slice/job 1\n", V2.format(top="/"), files)) == processors


def test_a_group_of_another_process_is_no_limit(system):
    files = {"other/cpu.max": "100000 100000", "mine/cpu.max": "500000 100000"}
    assert usable_processors(system("0::/mine\n", V2.format(top="/"), files)) == 5


@pytest.mark.parametrize(
    ("quota", "processors"), [("-1", 8), ("350000", 3), ("50000", 1), ("1600000", 8), ("", 8), ("x", 8)]
)
def test_a_quota_of_version_1(system, quota, processors):
    root = system(V1_GROUPS.format(group="/"), V1.format(top="/"), v1("", quota))
    assert usable_processors(root) == processors


def test_nested_groups_of_version_1(system):
    files = {**v1("", "-1"), **v1("slurm/", "400000"), **v1("slurm/job/", "-1")}
    assert usable_processors(system(V1_GROUPS.format(group="/slurm/job"), V1.format(top="/"), files)) == 4


@pytest.mark.parametrize("group", ["/docker/a1", "/docker/a1/inner", "/elsewhere", "/../sibling"])
def test_a_container_sees_its_own_group_as_the_top(system, group):
    """Docker with version 1: /proc names the host's path, of which only the container's part is mounted."""
    files = {**v1("", "300000"), **v1("inner/", "200000")}
    root = system(V1_GROUPS.format(group=group), V1.format(top="/docker/a1"), files)
    assert usable_processors(root) == (2 if group.endswith("inner") else 3)


def test_both_versions_side_by_side(system):
    """A hybrid system: version 2 is there, and version 1 has the processors."""
    mounts = V1.format(top="/") + "\n" + V2.format(top="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    files = {**v1("job/", "600000"), "unified/init.scope/cgroup.procs": "1"}
    assert usable_processors(system(V1_GROUPS.format(group="/job"), mounts, files)) == 6


def test_blanks_in_the_mount_point(system):
    mounts = V2.format(top="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/my\\040groups")
    assert usable_processors(system("0::/\n", mounts, {"my groups/cpu.max": "200000 100000"})) == 2


@pytest.mark.parametrize("groups", ["", "nonsense\n", "0::\n", "0::relative\n", ":::\n"])
def test_odd_files_of_proc_are_no_limit(system, groups):
    assert usable_processors(system(groups, "30 23\n - cgroup2\nx y z / - cgroup2 a b", {})) == 8


def test_the_affinity_mask_is_a_limit(system, monkeypatch):
    root = system("0::/\n", V2.format(top="/"), {"cpu.max": "500000 100000"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 5})
    assert usable_processors(root) == 2


def test_a_system_without_masks_and_groups_counts_its_processors(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_processors(tmp_path) == (os.cpu_count() or 1)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_processors(tmp_path) == 1


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, 8),
        ({"MINIDL_NUM_THREADS": ""}, 8),
        ({"MINIDL_NUM_THREADS": "007"}, 7),
        ({"MINIDL_NUM_THREADS": "12", "OMP_NUM_THREADS": "3"}, 12),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": " 4 , 2 "}, 4),
        ({"OMP_NUM_THREADS": "16"}, 16),
        ({"OMP_NUM_THREADS": "99999999999"}, 2**31 - 1),
        ({"OMP_NUM_THREADS": "9" * 5000}, 2**31 - 1),
        ({"MINIDL_NUM_THREADS": "99999999999"}, 2**31 - 1),
        ({"MINIDL_NUM_THREADS": "9" * 5000}, 2**31 - 1),
        ({"MINIDL_NUM_THREADS": "0" * 5000 + "12"}, 12),
        *(({"OMP_NUM_THREADS": bad}, 8) for bad in ("", "0", "-2", "many", "1.5", ",2")),
    ],
)
def test_the_environment_s_wish_comes_first(system, environment, threads):
    assert wanted_threads(environment, system("", "", {})) == threads


@pytest.mark.parametrize("bad", ["0", "-1", "two", "1.5", " 2", "²"])
def test_a_bad_wish_is_an_error(bad):
    with pytest.raises(ValueError, match=rf"^MINIDL_NUM_THREADS must be a positive integer, got '{bad}'$"):
        wanted_threads({"MINIDL_NUM_THREADS": bad, "OMP_NUM_THREADS": "2"})
