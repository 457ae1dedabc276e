// SPDX-License-Identifier: GPL-2.0-only
/*
 * diolab-helper: the only part of diolab that runs as root. It attaches image files to loop devices, makes read-only verification
 * mounts that are in nobody's tree, and captures block events of its own devices. It reads no path, no text and no argument from
 * its caller: one datagram of 64 bytes is one request, and at most one open file comes with it.
 *
 *   start --checks--> silent --HELLO--> open --ATTACH, DETACH, VERIFY_MOUNT, UNMOUNT, TRACE_START, TRACE_STOP, STATUS--> open
 *                        '--anything else: refused        '--BYE, end of file, a signal, 8 idle hours--> clean up --> exit
 *
 *   one device:  free --ATTACH--> attached --VERIFY_MOUNT--> mounted --UNMOUNT--> attached --DETACH--> free
 *
 * Rules
 *  1. Nothing of the caller's is touched before it passed its checks; what is refused changed nothing, and its file is closed. What may
 *     never answer (a file of a user-space file system, a device of somebody else's) is touched by a child only, with a deadline.
 *  2. The loop device is opened exclusively, configured through that descriptor, read back through it, and handed out as it is. The
 *     helper keeps a second, read-only one, which keeps the device alive and never claims it. So "is the caller's descriptor still
 *     out" is a question to the kernel: whether an exclusive open succeeds.
 *  3. Everything the helper makes dies with its last descriptor (AUTOCLEAR, a detached mount). Only a trace instance does not, and
 *     that one carries pid and start time in its name, so that the next helper can tell a dead one's.
 *  4. Paths opened: /dev/loop-control, /dev/loopN, /sys/block, /sys/kernel/tracing/instances/..., /proc/PID/stat, /proc/swaps. No
 *     other (the log is a socket that is connected to), and no exec.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAGIC = 0x4c4f4944, VERSION = 1 };                       /* "DIOL" in memory */
enum { FRAME_BYTES = 64, LOOP_MAJOR = 7 };
enum { DEVICES_MAX = 8, MOUNTS_MAX = 2, TRACE_SECONDS_MAX = 600, TRACE_KIB_MAX = 4096 };
enum { RATE_PER_SECOND = 10, RATE_BURST = 20, ATTACH_TRIES = 16, END_SECONDS_MAX = 3 };
static const uint64_t IMAGE_BYTES_MIN = 64ULL << 10, IMAGE_BYTES_MAX = 64ULL << 30;
static const int64_t IDLE_MS_MAX = 8LL * 60 * 60 * 1000, GONE_MS_MAX = 2000, CHILD_MS_MAX = 1000;

enum verb { HELLO = 1, ATTACH, DETACH, VERIFY_MOUNT, UNMOUNT, TRACE_START, TRACE_STOP, STATUS, BYE, VERB_END };
enum { FLAG_READ_ONLY = 1, FLAG_DIRECT_IO = 2 };
enum event_set { EVENTS_BIO = 1, EVENTS_REQUEST = 2, EVENTS_ALL = EVENTS_BIO | EVENTS_REQUEST };

/* What a reply says. 0: done. R1 to R12 are 101 to 112. Host errors are 1000 plus the errno, with the step in values[0]. */
enum status {
    OK = 0,
    E_FRAME = 1, E_VERSION, E_VERB, E_FLAGS, E_RESERVED, E_FDS, E_ORDER, E_ID, E_RATE, E_ARGUMENT, E_HANDLE, E_BUSY, E_DIO,
    E_MISSING = 15,
    E_RULE = 100,
    E_HOST = 1000,
};
enum { R1_ONE_FD = 1, R2_REGULAR, R3_ACCESS, R4_OWNER, R5_LINKS, R6_FILE_SYSTEM, R7_SIZE, R8_ATTRIBUTES, R9_ATTACHED, R10_LOCK,
       R11_NESTED, R12_LIMITS };

struct request {
    uint32_t magic;
    uint16_t version, verb;
    uint32_t flags, id;
    uint64_t arguments[4];
    uint64_t reserved[2];
};
struct reply {
    uint32_t magic;
    uint16_t version, verb;
    uint32_t id;
    int32_t status;
    uint64_t values[6];
};
_Static_assert(sizeof(struct request) == FRAME_BYTES && sizeof(struct reply) == FRAME_BYTES, "a frame is 64 bytes");

struct device {
    uint64_t handle;        /* 0: the slot is free */
    int number;
    int keep_fd;            /* read-only, not exclusive: rule 2 */
    int mount_fd;           /* -1: not mounted */
    bool was_mounted;       /* our descriptor is closed, the caller's may not be */
    dev_t image_device;
    ino_t image_inode;
    uint64_t mount_id;
};
static struct device devices[DEVICES_MAX];

static struct {
    bool is_on;
    char name[64];
    int64_t ends_at_ms;
    const struct device *watched[2];    /* may be one and the same; not detached before the trace is gone */
} trace;

static uid_t caller;
static bool is_open;
static uint32_t last_id;
static uint64_t requests, refused;
static int log_fd = -1, instances_fd = -1;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Closes what may be open, and leaves the errno that is still wanted. */
static void close_quietly(int fd)
{
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
}

/* One datagram for the system's log, numbers only: no library of a log that would read time zones. At most 20 a second. */
static void log_request(unsigned verb, unsigned id, int status)
{
    static int64_t second;
    static int lines;
    char text[120];
    if (now_ms() / 1000 != second)
        lines = 0;
    second = now_ms() / 1000;
    int length = snprintf(text, sizeof text, "<86>diolab-helper[%d]: verb %u id %u status %d", getpid(), verb, id, status);
    if (lines++ < 20)
        send(log_fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void open_log(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    log_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    connect(log_fd, (struct sockaddr *)&address, sizeof address);     /* where nobody listens, sending fails, and that is all */
}

/* ---- Tracing ---------------------------------------------------------------------------------------------------------------------- */

/* The start time of a process in clock ticks (field 22 of its stat), or 0 where there is no such process. */
static unsigned long long start_time_of(long pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    close_quietly(fd);
    text[length > 0 ? length : 0] = 0;
    char *at = strrchr(text, ')');      /* the name in parentheses may hold anything, but it ends at the last one */
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

/* Mounts it where it is not: for us alone, since the mount namespace is. -1 where this kernel has none. */
static void open_tracing(void)
{
    struct statfs found;
    if (statfs("/sys/kernel/tracing", &found) != 0 || (uint32_t)found.f_type != TRACEFS_MAGIC)
        syscall(SYS_mount, "tracefs", "/sys/kernel/tracing", "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    instances_fd = open("/sys/kernel/tracing/instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int open_trace_file(const char *file, int flags)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", trace.name, file);
    return openat(instances_fd, path, flags | O_CLOEXEC | O_NOFOLLOW);
}

static bool write_trace_file(const char *file, const char *text)
{
    int fd = open_trace_file(file, O_WRONLY);
    bool is_done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close_quietly(fd);
    return is_done;
}

/* Removes the instances of helpers that are not alive any more: a kill -9 leaves them. */
static void sweep_traces(void)
{
    int fd = fcntl(instances_fd, F_DUPFD_CLOEXEC, 3);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        long pid;
        unsigned long long started;
        char rest;
        if (sscanf(entry->d_name, "diolab-%ld-%llu%c", &pid, &started, &rest) == 2 && start_time_of(pid) != started)
            unlinkat(instances_fd, entry->d_name, AT_REMOVEDIR);
    }
    if (folder != NULL)
        closedir(folder);
}

/* True once the instance is gone: the kernel keeps it while the caller reads from it. */
static bool stop_trace(int64_t wait_ms)
{
    if (!trace.is_on)
        return true;
    write_trace_file("tracing_on", "0");
    write_trace_file("events/enable", "0");
    for (int64_t until = now_ms() + wait_ms; unlinkat(instances_fd, trace.name, AT_REMOVEDIR) != 0 && errno != ENOENT; usleep(20 * 1000))
        if (now_ms() >= until)
            return false;
    trace.is_on = false;
    return true;
}

/* ---- Loop devices --------------------------------------------------------------------------------------------------------------- */

static int open_loop(int number, int flags)
{
    char path[32];
    snprintf(path, sizeof path, "/dev/loop%d", number);
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat found;
    if (fd < 0 || (fstat(fd, &found) == 0 && S_ISBLK(found.st_mode) && found.st_rdev == makedev(LOOP_MAJOR, (unsigned)number)))
        return fd;
    close(fd);
    errno = ENODEV;
    return -1;
}

static bool is_behind(int loop_fd, dev_t image_device, ino_t image_inode)
{
    struct loop_info64 info;
    return ioctl(loop_fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_device == image_device && info.lo_inode == image_inode;
}

/* The descriptor that was handed out claims the device; so does a mount. */
static bool is_claimed(const struct device *device)
{
    int fd = open_loop(device->number, O_RDONLY | O_EXCL);
    bool is_busy = fd < 0 && errno == EBUSY;
    close_quietly(fd);
    return is_busy;
}

static bool is_gone(const struct device *device)
{
    int fd = open_loop(device->number, O_RDONLY);
    bool is_other = fd >= 0 && !is_behind(fd, device->image_device, device->image_inode);
    bool is_absent = fd < 0 && (errno == ENXIO || errno == ENOENT || errno == ENODEV);
    close_quietly(fd);
    return is_other || is_absent;
}

/* R9: whether any loop device of the system but the one of this number has this file behind it. */
static bool is_attached(const struct stat *image, int but_number)
{
    DIR *folder = opendir("/sys/block");
    if (folder == NULL)
        return true;            /* what cannot be checked is refused */
    bool is_found = false;
    for (struct dirent *entry; !is_found && (entry = readdir(folder)) != NULL;) {
        int number;
        if (sscanf(entry->d_name, "loop%d", &number) != 1 || number == but_number)
            continue;
        int fd = open_loop(number, O_RDONLY);
        is_found = fd >= 0 && is_behind(fd, image->st_dev, image->st_ino);
        close_quietly(fd);
    }
    closedir(folder);
    return is_found;
}

static struct device *device_by_handle(uint64_t handle)
{
    for (int slot = 0; slot < DEVICES_MAX; slot++)
        if (handle != 0 && devices[slot].handle == handle)
            return &devices[slot];
    return NULL;
}

static void close_mount(struct device *device)
{
    if (device->mount_fd < 0)
        return;
    close(device->mount_fd);
    device->mount_fd = -1;
    device->was_mounted = true;
}

/* Closes what the helper has of it; true once the kernel says that it is gone. Until then the slot stays taken. */
static bool release_device(struct device *device, int64_t until_ms)
{
    close_mount(device);
    if (device->keep_fd >= 0) {
        ioctl(device->keep_fd, LOOP_CLR_FD, 0);
        close(device->keep_fd);
        device->keep_fd = -1;
    }
    for (; !is_gone(device); usleep(10 * 1000))
        if (now_ms() >= until_ms)
            return false;
    device->handle = 0;
    return true;
}

/* ---- What comes in, and the rules of ATTACH ------------------------------------------------------------------------------------------ */

/*
 * One datagram. Where `fd` is given, there is room for one descriptor; else for none, and the kernel drops what came without ever
 * giving it to us: closing it could take forever. `is_cut`: there were more descriptors than room.
 */
static ssize_t receive(struct request *request, int flags, int *fd, bool *is_cut)
{
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    struct iovec part = { request, sizeof *request };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    memset(request, 0, sizeof *request);
    if (fd != NULL) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_LEN(sizeof(int));
    }
    ssize_t length = recvmsg(0, &message, flags | MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *header = fd != NULL && length >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    *is_cut = length >= 0 && (message.msg_flags & MSG_CTRUNC) != 0;
    return length;
}

/*
 * What is asked in a child: touching these may never end, and then not even SIGKILL ends the child (the server of a FUSE file has the
 * request already). Such a child is left to itself, holds nothing of ours, and no other is started before it is gone.
 */
enum question { TOUCH_NEXT_FILE, IS_ATTACHED };

static int answer(enum question question, const struct stat *image, int but_number)
{
    struct request request;
    struct statfs system;
    bool is_cut;
    int fd = -1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (question == IS_ATTACHED)
        return syscall(SYS_close_range, 0U, ~0U, 0) != 0 || is_attached(image, but_number) ? R9_ATTACHED : OK;
    /* A look at the datagram: this child has a copy of the file that came with it, and the parent nothing yet. */
    if (receive(&request, MSG_PEEK, &fd, &is_cut) != FRAME_BYTES || is_cut || fd < 0)
        return R1_ONE_FD;
    if (dup2(fd, 0) != 0 || syscall(SYS_close_range, 1U, ~0U, 0) != 0 || fstatfs(0, &system) != 0)
        return R6_FILE_SYSTEM;
    switch ((uint32_t)system.f_type) {
    case EXT4_SUPER_MAGIC: case XFS_SUPER_MAGIC: case BTRFS_SUPER_MAGIC: case TMPFS_MAGIC: return OK;
    default: return R6_FILE_SYSTEM;
    }
}

/* OK, or the status of the rule that the child found broken; of `unanswered` where it did not end in time. */
static int ask_child(enum question question, const struct stat *image, int but_number, int unanswered)
{
    static pid_t stuck;
    int result = 0;
    if (stuck > 0 && waitpid(stuck, NULL, WNOHANG) == 0)
        return E_RULE + unanswered;
    pid_t child = fork();
    if (child == 0)
        _exit(answer(question, image, but_number));
    for (int64_t until = now_ms() + CHILD_MS_MAX; child > 0 && waitpid(child, &result, WNOHANG) == 0; usleep(1000))
        if (now_ms() >= until) {
            kill(child, SIGKILL);
            stuck = child;
            return E_RULE + unanswered;
        }
    if (child < 0 || !WIFEXITED(result))
        return E_RULE + unanswered;
    return WEXITSTATUS(result) == OK ? OK : E_RULE + WEXITSTATUS(result);
}

/* R8. A swap file answers ETXTBSY before anything else is looked at; a range beyond every limit keeps the question harmless. */
static bool is_swap(int image_fd, const struct stat *image)
{
    if (fallocate(image_fd, FALLOC_FL_KEEP_SIZE, LLONG_MAX, LLONG_MAX) != 0 && errno == ETXTBSY)
        return true;
    FILE *list = fopen("/proc/swaps", "re");       /* for a read-only descriptor, which fallocate does not take */
    char line[PATH_MAX + 100];
    struct stat found;
    bool is_found = false;
    while (list != NULL && !is_found && fgets(line, sizeof line, list) != NULL) {
        line[strcspn(line, " \t\n")] = 0;
        is_found = line[0] == '/' && stat(line, &found) == 0 && found.st_dev == image->st_dev && found.st_ino == image->st_ino;
    }
    if (list != NULL)
        fclose(list);
    return is_found;
}

/*
 * R10. A lock of another open file description would conflict with ours; a lock of this one conflicts only with a lock of the
 * process kind. So: no conflict by the first question, and one by the second, is a lock that the caller holds on this very description.
 */
static bool holds_lock(int image_fd, bool is_read_only)
{
    struct flock others = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct flock own = others;
    if (fcntl(image_fd, F_OFD_GETLK, &others) != 0 || others.l_type != F_UNLCK)
        return false;
    if (fcntl(image_fd, F_GETLK, &own) != 0 || own.l_type == F_UNLCK)
        return false;
    bool is_whole = own.l_pid == -1 && own.l_start == 0 && own.l_len == 0;
    return is_whole && (own.l_type == F_WRLCK || is_read_only);
}

/* R11. Its file system lies on one of our devices: by its device number, or (btrfs has numbers of its own) by our mount. */
static bool is_nested(const struct stat *image, uint64_t mount_id)
{
    for (const struct device *device = devices; device < devices + DEVICES_MAX; device++) {
        bool is_mounted = device->mount_fd >= 0 || device->was_mounted;
        if (device->handle == 0)
            continue;
        if (image->st_dev == makedev(LOOP_MAJOR, (unsigned)device->number) || (is_mounted && device->mount_id == mount_id))
            return true;
    }
    return false;
}

static int rule(int number) { return E_RULE + number; }

/* R2 to R11 but R6, which had to come before the file was ours; 0 or the status of the first that is broken. */
static int check_image(int image_fd, uint64_t sector_bytes, bool is_read_only, struct stat *image)
{
    int flags = fcntl(image_fd, F_GETFL);
    if (flags < 0 || (flags & O_PATH) != 0)
        return rule(R3_ACCESS);
    if (fstat(image_fd, image) != 0 || !S_ISREG(image->st_mode))
        return rule(R2_REGULAR);
    int access_mode = flags & O_ACCMODE;
    if (access_mode != O_RDWR && !(is_read_only && access_mode == O_RDONLY))
        return rule(R3_ACCESS);
    if (image->st_uid != caller || (image->st_mode & (S_ISUID | S_ISGID)) != 0)
        return rule(R4_OWNER);
    if (image->st_nlink != 1)
        return rule(R5_LINKS);
    uint64_t size = (uint64_t)image->st_size;
    if (size < IMAGE_BYTES_MIN || size > IMAGE_BYTES_MAX || size % sector_bytes != 0)
        return rule(R7_SIZE);
    struct statx more;
    if (statx(image_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &more) != 0)
        return rule(R8_ATTRIBUTES);
    uint64_t refused_attributes = STATX_ATTR_APPEND | STATX_ATTR_IMMUTABLE | STATX_ATTR_ENCRYPTED | STATX_ATTR_VERITY;
    if ((more.stx_attributes & refused_attributes) != 0 || is_swap(image_fd, image))
        return rule(R8_ATTRIBUTES);
    int status = ask_child(IS_ATTACHED, image, -1, R9_ATTACHED);
    if (status != OK)
        return status;
    if (!holds_lock(image_fd, is_read_only))
        return rule(R10_LOCK);
    if (is_nested(image, more.stx_mnt_id))
        return rule(R11_NESTED);
    return OK;
}

/* ---- Verbs ------------------------------------------------------------------------------------------------------------------------ */

static int host_error(struct reply *reply, uint64_t step)
{
    reply->values[0] = step;
    return E_HOST + errno;
}

static int hello(const struct request *request, struct reply *reply)
{
    if (is_open)
        return E_ORDER;
    if (request->arguments[0] != VERSION)
        return E_VERSION;
    is_open = true;
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int context = (int)syscall(SYS_fsopen, "ext4", FSOPEN_CLOEXEC);
    uint64_t can = (control >= 0 ? 1U : 0U) | (context >= 0 ? 2U : 0U) | (instances_fd >= 0 ? 4U : 0U);
    close_quietly(control);
    close_quietly(context);
    const uint64_t values[] = { VERSION, DEVICES_MAX, MOUNTS_MAX, can, IMAGE_BYTES_MIN, IMAGE_BYTES_MAX };
    memcpy(reply->values, values, sizeof values);
    return OK;
}

/* Takes a free device and gives it the file. Returns its exclusive descriptor, or -1 with errno. */
static int configure_loop(int image_fd, uint32_t sector_bytes, uint32_t flags, int *number)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return -1;
    struct loop_config config = { .fd = (uint32_t)image_fd, .block_size = sector_bytes };
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | ((flags & FLAG_READ_ONLY) != 0 ? LO_FLAGS_READ_ONLY : 0U) |
                           ((flags & FLAG_DIRECT_IO) != 0 ? LO_FLAGS_DIRECT_IO : 0U);
    int loop_fd = -1;
    for (int attempt = 0; attempt < ATTACH_TRIES; attempt++, usleep(1000)) {
        *number = ioctl(control, LOOP_CTL_GET_FREE);
        if (*number < 0)
            break;
        loop_fd = open_loop(*number, ((flags & FLAG_READ_ONLY) != 0 ? O_RDONLY : O_RDWR) | O_EXCL);
        if (loop_fd >= 0 && ioctl(loop_fd, LOOP_CONFIGURE, &config) == 0)
            break;
        close_quietly(loop_fd);
        loop_fd = -1;
        if (errno != EBUSY && errno != ENXIO)       /* taken by somebody else in between: the next one */
            break;
    }
    close_quietly(control);
    return loop_fd;
}

/* The kernel may have done otherwise than asked, and says nothing then. True: all is as asked. */
static bool is_as_asked(int loop_fd, const struct stat *image, uint32_t sector_bytes, uint32_t flags, struct reply *reply)
{
    struct loop_info64 info;
    int sector, read_only;
    uint64_t size;
    if (ioctl(loop_fd, LOOP_GET_STATUS64, &info) != 0 || ioctl(loop_fd, BLKSSZGET, &sector) != 0 ||
        ioctl(loop_fd, BLKROGET, &read_only) != 0 || ioctl(loop_fd, BLKGETSIZE64, &size) != 0)
        return false;
    reply->values[2] = size;
    reply->values[3] = (uint64_t)sector;
    reply->values[4] = (read_only != 0 ? FLAG_READ_ONLY : 0U) | ((info.lo_flags & LO_FLAGS_DIRECT_IO) != 0 ? FLAG_DIRECT_IO : 0U);
    return reply->values[4] == flags && (uint32_t)sector == sector_bytes && size == (uint64_t)image->st_size &&
           info.lo_device == image->st_dev && info.lo_inode == image->st_ino && (info.lo_flags & LO_FLAGS_AUTOCLEAR) != 0 &&
           (info.lo_flags & LO_FLAGS_PARTSCAN) == 0;
}

static int attach(const struct request *request, struct reply *reply, int image_fd, int *out_fd)
{
    uint64_t sector_bytes = request->arguments[0];
    if (sector_bytes != 512 && sector_bytes != 1024 && sector_bytes != 2048 && sector_bytes != 4096)
        return E_ARGUMENT;
    struct device *device = devices;
    while (device < devices + DEVICES_MAX && device->handle != 0)
        device++;
    if (device == devices + DEVICES_MAX)
        return rule(R12_LIMITS);
    struct stat image, again;
    int status = check_image(image_fd, sector_bytes, (request->flags & FLAG_READ_ONLY) != 0, &image);
    if (status != OK)
        return status;
    uint64_t handle;
    if (getrandom(&handle, sizeof handle, 0) != sizeof handle || handle == 0)
        return E_HOST + EAGAIN;
    int number = -1;
    int loop_fd = configure_loop(image_fd, (uint32_t)sector_bytes, request->flags, &number);
    if (loop_fd < 0)
        return host_error(reply, 1);
    struct device made = { .handle = handle, .number = number, .mount_fd = -1, .image_device = image.st_dev, .image_inode = image.st_ino };
    made.keep_fd = open_loop(number, O_RDONLY);
    *device = made;
    status = made.keep_fd >= 0 ? OK : host_error(reply, 1);
    if (status == OK && !is_as_asked(loop_fd, &image, (uint32_t)sector_bytes, request->flags, reply))
        status = E_DIO;
    if (status == OK && (fstat(image_fd, &again) != 0 || again.st_size != image.st_size || again.st_nlink != 1))
        status = again.st_nlink == 1 ? rule(R7_SIZE) : rule(R5_LINKS);
    if (status == OK)           /* again: another session may have taken the same file at the same time */
        status = ask_child(IS_ATTACHED, &image, number, R9_ATTACHED);
    if (status != OK) {
        close(loop_fd);
        release_device(device, now_ms() + GONE_MS_MAX);
        return status;
    }
    *out_fd = loop_fd;
    reply->values[0] = handle;
    reply->values[1] = (uint64_t)number;
    reply->values[5] = ((uint64_t)LOOP_MAJOR << 32) | (uint64_t)number;
    return OK;
}

static int detach(const struct request *request)
{
    struct device *device = device_by_handle(request->arguments[0]);
    if (device == NULL)
        return E_HANDLE;
    /* A trace knows its devices by number alone, which would then be somebody else's. */
    if (trace.is_on && (trace.watched[0] == device || trace.watched[1] == device))
        return E_BUSY;
    if (device->mount_fd >= 0 || (device->keep_fd >= 0 && is_claimed(device)))
        return E_BUSY;
    return release_device(device, now_ms() + GONE_MS_MAX) ? OK : E_BUSY;
}

/* Each with the option that leaves its journal alone; an option without a value is a flag. */
struct mount_kind { const char *name, *option, *value; };
static const struct mount_kind mount_kinds[] = {
    { "ext4", "noload", NULL },
    { "xfs", "norecovery", NULL },
    { "btrfs", "rescue", "nologreplay" },
};

/* fsopen to fsmount: a mount that hangs nowhere. -1 with errno. */
static int mount_detached(int number, const struct mount_kind *kind)
{
    char source[32];
    snprintf(source, sizeof source, "/dev/loop%d", number);
    int context = (int)syscall(SYS_fsopen, kind->name, FSOPEN_CLOEXEC);
    if (context < 0)
        return -1;
    bool is_set = syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "source", source, 0) == 0 &&
                  syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "ro", NULL, 0) == 0;
    int form = kind->value == NULL ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
    is_set = is_set && syscall(SYS_fsconfig, context, form, kind->option, kind->value, 0) == 0;
    int mount_fd = -1;
    if (is_set && syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mount_fd = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW);
    close_quietly(context);
    return mount_fd;
}

/* A mount counts until the kernel says that the caller, too, has let it go. */
static int count_mounts(void)
{
    int count = 0;
    for (int slot = 0; slot < DEVICES_MAX; slot++)
        count += devices[slot].handle != 0 && (devices[slot].mount_fd >= 0 || devices[slot].was_mounted);
    return count;
}

static int verify_mount(const struct request *request, struct reply *reply, int *out_fd)
{
    struct device *device = device_by_handle(request->arguments[0]);
    if (device == NULL)
        return E_HANDLE;
    uint64_t kind = request->arguments[1];
    if (kind < 1 || kind > sizeof mount_kinds / sizeof *mount_kinds)
        return E_ARGUMENT;
    if (device->mount_fd >= 0 || device->keep_fd < 0 || is_claimed(device))
        return E_BUSY;
    device->was_mounted = false;        /* what was is gone: nothing claims the device */
    if (count_mounts() >= MOUNTS_MAX)
        return rule(R12_LIMITS);
    int mount_fd = mount_detached(device->number, &mount_kinds[kind - 1]);
    if (mount_fd < 0)
        return host_error(reply, 2);
    struct statx found;
    *out_fd = fcntl(mount_fd, F_DUPFD_CLOEXEC, 3);
    if (*out_fd < 0 || statx(mount_fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &found) != 0) {
        close_quietly(mount_fd);
        return host_error(reply, 3);
    }
    device->mount_fd = mount_fd;
    device->mount_id = found.stx_mnt_id;
    return OK;
}

static int unmount(const struct request *request)
{
    struct device *device = device_by_handle(request->arguments[0]);
    if (device == NULL)
        return E_HANDLE;
    if (device->mount_fd < 0 && !device->was_mounted)
        return E_ORDER;
    close_mount(device);
    for (int64_t until = now_ms() + GONE_MS_MAX / 4; is_claimed(device); usleep(10 * 1000))
        if (now_ms() >= until)
            return E_BUSY;
    device->was_mounted = false;
    return OK;
}

static const struct { enum event_set set; const char *name; } trace_events[] = {
    { EVENTS_BIO, "block_bio_queue" },          { EVENTS_BIO, "block_split" },            { EVENTS_BIO, "block_bio_complete" },
    { EVENTS_BIO, "block_bio_backmerge" },      { EVENTS_BIO, "block_bio_frontmerge" },   { EVENTS_REQUEST, "block_getrq" },
    { EVENTS_REQUEST, "block_rq_insert" },      { EVENTS_REQUEST, "block_rq_issue" },     { EVENTS_REQUEST, "block_rq_complete" },
    { EVENTS_REQUEST, "block_rq_error" },
};

/* Events that this kernel does not have are left out. True where at least one is on. */
static bool enable_events(uint32_t sets, const char *filter)
{
    bool is_any = false;
    for (size_t index = 0; index < sizeof trace_events / sizeof *trace_events; index++) {
        char file[100];
        if ((trace_events[index].set & sets) == 0)
            continue;
        snprintf(file, sizeof file, "events/block/%s/filter", trace_events[index].name);
        bool is_filtered = write_trace_file(file, filter);
        snprintf(file, sizeof file, "events/block/%s/enable", trace_events[index].name);
        is_any |= is_filtered && write_trace_file(file, "1");   /* never without its filter: others' events are not ours to see */
    }
    return is_any;
}

static int start_trace(const struct request *request, struct reply *reply, int *out_fd)
{
    const struct device *first = device_by_handle(request->arguments[0]);
    const struct device *second = device_by_handle(request->arguments[3]);
    uint32_t events = (uint32_t)request->arguments[1];
    uint64_t seconds = request->arguments[1] >> 32, kib = request->arguments[2];
    if (first == NULL || (request->arguments[3] != 0 && second == NULL))
        return E_HANDLE;
    if (events < EVENTS_BIO || events > EVENTS_ALL || seconds < 1 || seconds > TRACE_SECONDS_MAX || kib < 1 || kib > TRACE_KIB_MAX)
        return E_ARGUMENT;
    if (instances_fd < 0)
        return E_MISSING;
    if (trace.is_on)
        return rule(R12_LIMITS);
    char text[100];
    snprintf(trace.name, sizeof trace.name, "diolab-%d-%llu", getpid(), start_time_of(getpid()));
    if (mkdirat(instances_fd, trace.name, 0700) != 0)
        return host_error(reply, 4);
    trace.is_on = true;
    trace.watched[0] = first;
    trace.watched[1] = second == NULL ? first : second;
    trace.ends_at_ms = now_ms() + (int64_t)seconds * 1000;
    /* The kernel's own number of a device: 12 bits of major above 20 of minor. */
    const unsigned numbers = (unsigned)LOOP_MAJOR << 20;
    snprintf(text, sizeof text, "dev == %u || dev == %u", numbers | (unsigned)first->number, numbers | (unsigned)trace.watched[1]->number);
    bool is_ready = enable_events(events, text);
    snprintf(text, sizeof text, "%u", (unsigned)kib);
    is_ready = is_ready && write_trace_file("trace_clock", "mono") && write_trace_file("buffer_size_kb", text) &&
               write_trace_file("tracing_on", "1");
    if (is_ready)
        *out_fd = open_trace_file("trace_pipe", O_RDONLY | O_NONBLOCK);
    if (*out_fd < 0) {
        int status = is_ready ? host_error(reply, 5) : E_MISSING;
        stop_trace(GONE_MS_MAX / 4);
        return status;
    }
    return OK;
}

static int report(struct reply *reply)
{
    for (int slot = 0; slot < DEVICES_MAX; slot++)
        reply->values[0] += devices[slot].handle != 0;
    reply->values[1] = (uint64_t)count_mounts();
    reply->values[2] = trace.is_on;
    reply->values[3] = requests;
    reply->values[4] = refused;
    return OK;
}

/* ---- Frames ------------------------------------------------------------------------------------------------------------------------ */

/* A bucket of 20 that fills by 10 a second (R12). */
static bool is_over_rate(void)
{
    static int64_t filled_at_ms;
    static int64_t tokens_milli = RATE_BURST * 1000;
    int64_t now = now_ms();
    tokens_milli += (now - filled_at_ms) * RATE_PER_SECOND;
    filled_at_ms = now;
    if (tokens_milli > RATE_BURST * 1000)
        tokens_milli = RATE_BURST * 1000;
    if (tokens_milli < 1000)
        return true;
    tokens_milli -= 1000;
    return false;
}

/* How many of the four arguments a verb takes; the others are 0. And which flags. */
static const struct { uint8_t arguments; bool has_fd; uint32_t flags; } shapes[VERB_END] = {
    [HELLO] = { 1, false, 0 },      [ATTACH] = { 1, true, FLAG_READ_ONLY | FLAG_DIRECT_IO },
    [DETACH] = { 1, false, 0 },     [VERIFY_MOUNT] = { 2, false, 0 },
    [UNMOUNT] = { 1, false, 0 },    [TRACE_START] = { 4, false, 0 },
    [TRACE_STOP] = { 0, false, 0 }, [STATUS] = { 0, false, 0 },
    [BYE] = { 0, false, 0 },
};

static int check_frame(const struct request *request, ssize_t length, bool has_fds)
{
    if (length != FRAME_BYTES || request->magic != MAGIC)
        return E_FRAME;
    if (request->version != VERSION)
        return E_VERSION;
    if (request->verb < HELLO || request->verb >= VERB_END)
        return E_VERB;
    if ((request->flags & ~shapes[request->verb].flags) != 0)
        return E_FLAGS;
    if (request->reserved[0] != 0 || request->reserved[1] != 0)
        return E_RESERVED;
    for (int index = shapes[request->verb].arguments; index < 4; index++)
        if (request->arguments[index] != 0)
            return E_RESERVED;
    if (has_fds != shapes[request->verb].has_fd)
        return request->verb == ATTACH ? rule(R1_ONE_FD) : E_FDS;
    if (!is_open && request->verb != HELLO)
        return E_ORDER;
    if (request->id <= last_id)
        return E_ID;
    if (is_over_rate())
        return E_RATE;
    last_id = request->id;
    return OK;
}

static int perform(const struct request *request, struct reply *reply, int in_fd, int *out_fd)
{
    switch (request->verb) {
    case HELLO: return hello(request, reply);
    case ATTACH: return attach(request, reply, in_fd, out_fd);
    case DETACH: return detach(request);
    case VERIFY_MOUNT: return verify_mount(request, reply, out_fd);
    case UNMOUNT: return unmount(request);
    case TRACE_START: return start_trace(request, reply, out_fd);
    case TRACE_STOP: return trace.is_on ? (stop_trace(GONE_MS_MAX / 4) ? OK : E_BUSY) : E_ORDER;
    case STATUS: return report(reply);
    default: return OK;                             /* BYE: the loop ends after the answer */
    }
}

static bool send_reply(const struct reply *reply, int fd)
{
    struct iovec part = { (void *)reply, sizeof *reply };
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = { { 0 } };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    /* A caller that does not read its answers is not waited for: the session ends. */
    return sendmsg(0, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *reply;
}

/* Takes the datagram that was looked at, with its file where all is well so far. False: somebody else took it from our end. */
static bool take(const struct request *seen, ssize_t length, int *status, int *fd)
{
    struct request taken;
    bool is_cut;
    bool is_wanted = *status == OK && seen->verb == ATTACH;
    ssize_t taken_length = receive(&taken, 0, is_wanted ? fd : NULL, &is_cut);
    if (is_wanted && (is_cut || *fd < 0))
        *status = rule(R1_ONE_FD);
    return taken_length == length && memcmp(&taken, seen, sizeof taken) == 0;
}

/* One request, from datagram to answer. False: the session is over. */
static bool serve_one(void)
{
    struct request request;
    bool has_fds;
    int in_fd = -1, out_fd = -1;
    ssize_t length = receive(&request, MSG_PEEK, NULL, &has_fds);
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    if (length == 0 && !has_fds) {
        /* End of file, or an empty datagram: only a hang-up tells them apart. */
        struct pollfd end = { .fd = 0, .events = POLLRDHUP };
        if (poll(&end, 1, 0) == 1 && (end.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
            return false;
    }
    struct reply reply = { .magic = MAGIC, .version = VERSION };
    requests++;
    int status = check_frame(&request, length, has_fds);
    if (length == FRAME_BYTES) {
        reply.verb = request.verb;
        reply.id = request.id;
    }
    bool is_end = status == OK && request.verb == BYE;
    if (status == OK && request.verb == ATTACH)
        status = ask_child(TOUCH_NEXT_FILE, NULL, -1, R6_FILE_SYSTEM);
    if (!take(&request, length, &status, &in_fd))
        is_end = true;
    else if (status == OK)
        status = perform(&request, &reply, in_fd, &out_fd);
    close_quietly(in_fd);
    reply.status = status;
    refused += status != OK;
    log_request(reply.verb, reply.id, status);
    bool is_sent = send_reply(&reply, out_fd);
    close_quietly(out_fd);
    return is_sent && !is_end;
}

/* ---- Start and end ----------------------------------------------------------------------------------------------------------------- */

/* A plain decimal number of a user other than root: pkexec says who asked. */
static bool read_uid(const char *text, uid_t *uid)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long long value = strtoull(text, NULL, 10);
    *uid = (uid_t)value;
    return text[digits] == 0 && digits <= 10 && value > 0 && value < UINT32_MAX;
}

/* One end of a pair that has no name, so that nobody else can connect to it; and who made it. */
static bool is_socketpair(struct ucred *peer)
{
    int domain = 0, type = 0;
    struct sockaddr_un name;
    socklen_t lengths[] = { sizeof domain, sizeof type, sizeof name, sizeof *peer };
    return getsockopt(0, SOL_SOCKET, SO_DOMAIN, &domain, &lengths[0]) == 0 && domain == AF_UNIX &&
           getsockopt(0, SOL_SOCKET, SO_TYPE, &type, &lengths[1]) == 0 && type == SOCK_SEQPACKET &&
           getsockname(0, (struct sockaddr *)&name, &lengths[2]) == 0 && lengths[2] <= sizeof(sa_family_t) &&
           getsockopt(0, SOL_SOCKET, SO_PEERCRED, peer, &lengths[3]) == 0 && peer->pid > 0;
}

/* Only CAP_SYS_ADMIN stays: loop-control, fsopen and tracefs ask for it. Root's own files need none. */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };
    for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
        if (capability != CAP_SYS_ADMIN && prctl(PR_CAPBSET_READ, capability) == 1 && prctl(PR_CAPBSET_DROP, capability) != 0)
            return false;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    data[0].effective = data[0].permitted = 1U << CAP_SYS_ADMIN;
    return syscall(SYS_capset, &header, data) == 0;
}

/* 0, or the exit status that says which guard refused. */
static int prepare(int count)
{
    struct ucred peer;
    const char *asked = getenv("PKEXEC_UID");
    if (count != 1)
        return 64;
    if (geteuid() != 0)
        return 77;
    if (!is_socketpair(&peer))
        return 65;
    if (asked == NULL ? getuid() != 0 || peer.uid != 0 : !read_uid(asked, &caller) || peer.uid != caller)
        return 77;
    if (asked == NULL)
        caller = 0;
    clearenv();
    if (fcntl(1, F_GETFD) < 0 || fcntl(2, F_GETFD) < 0 || syscall(SYS_close_range, 3U, ~0U, 0) != 0)
        return 71;              /* with 1 or 2 free, a message of libc's could go into a device */
    umask(077);
    /* Ours go to nobody, but others' unmounts come to us: a private namespace would keep every file system of the start busy. */
    if (chdir("/") != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 || unshare(CLONE_NEWNS) != 0 ||
        syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return 71;
    open_tracing();
    open_log();
    if (!drop_capabilities() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return 71;
    return 0;
}

/* Everything of ours goes; what the caller still holds open goes with its last descriptor. */
static void clean_up(void)
{
    alarm(END_SECONDS_MAX);     /* not blocked, and not handled: whatever hangs, the kernel does the rest */
    int64_t until = now_ms() + GONE_MS_MAX;
    stop_trace(GONE_MS_MAX / 4);
    for (int slot = 0; slot < DEVICES_MAX; slot++)
        if (devices[slot].handle != 0 && !release_device(&devices[slot], until))
            log_request(BYE, (unsigned)devices[slot].number, E_BUSY);      /* still open elsewhere */
}

int main(int count, char **words)
{
    static const int end_signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
    (void)words;
    int refusal = prepare(count);
    if (refusal != 0)
        return refusal;
    /* What the caller ignored or blocked does not count: all are blocked, and four of them end the session in order. */
    sigset_t signals;
    sigfillset(&signals);
    sigdelset(&signals, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &signals, NULL);
    sigemptyset(&signals);
    for (size_t index = 0; index < sizeof end_signals / sizeof *end_signals; index++)
        sigaddset(&signals, end_signals[index]);
    int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signal_fd < 0)
        return 71;
    alarm(0);
    sweep_traces();
    int64_t asked_at_ms = now_ms();
    for (bool is_on = true; is_on && now_ms() - asked_at_ms < IDLE_MS_MAX;) {
        struct pollfd wanted[2] = { { .fd = 0, .events = POLLIN | POLLRDHUP }, { .fd = signal_fd, .events = POLLIN } };
        int64_t wait_ms = asked_at_ms + IDLE_MS_MAX - now_ms();
        if (trace.is_on && trace.ends_at_ms - now_ms() < wait_ms)
            wait_ms = trace.ends_at_ms - now_ms();
        if (poll(wanted, 2, wait_ms < 0 ? 0 : (int)wait_ms) < 0 || wanted[1].revents != 0)
            break;
        if (trace.is_on && now_ms() >= trace.ends_at_ms)
            trace.ends_at_ms = now_ms() + (stop_trace(0) ? 0 : 1000);
        if (wanted[0].revents != 0) {
            asked_at_ms = now_ms();
            is_on = serve_one();
        }
    }
    clean_up();
    return 0;
}
