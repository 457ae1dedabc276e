// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the hostile tests of the helper need beside themselves. Compiled by them; ends with its standard input.
 *
 *   silent FILE    mounts a file system of its own over FILE and opens it once it is asked; every later question stays without answer
 *   swap A B       exchanges the two names, again and again
 *   resize FILE N  makes FILE one sector shorter and longer again (N bytes), again and again
 *   preload.so     built as a library: leaves a file where it is loaded (see the tests)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#ifdef PRELOAD
__attribute__((constructor)) static void mark(void)
{
    const char *path = getenv("DIOLAB_MARK");
    if (path != NULL)
        close(open(path, O_CREAT | O_WRONLY, 0600));
}
#else
static int is_over(void)
{
    struct pollfd input = { .fd = 0, .events = POLLIN };
    return poll(&input, 1, 0) != 0;
}

static void answer(int fd, const struct fuse_in_header *in, const void *body, size_t length)
{
    char reply[1024];
    struct fuse_out_header out = { .len = (unsigned)(sizeof out + length), .unique = in->unique };
    memcpy(reply, &out, sizeof out);
    memcpy(reply + sizeof out, body, length);
    if (write(fd, reply, sizeof out + length) < 0)
        perror("fuse");
}

static int be_silent(const char *path)
{
    static char buffer[1 << 20];
    char options[200];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    snprintf(options, sizeof options, "fd=%d,rootmode=100600,user_id=0,group_id=0,allow_other", fd);
    if (fd < 0 || mount("diolab-silent", path, "fuse", 0, options) != 0) {
        perror("fuse");
        return 1;
    }
    alarm(30);      /* whatever the test does: what waits for an answer is let go when this process ends */
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct pollfd wanted[2] = { { .fd = fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
        poll(wanted, 2, -1);
        if (wanted[1].revents != 0)
            break;
        if (read(fd, buffer, sizeof buffer) < (ssize_t)sizeof(struct fuse_in_header))
            break;
        const struct fuse_in_header *in = (const struct fuse_in_header *)buffer;
        struct fuse_init_out init = { .major = 7, .minor = 31, .max_write = 65536 };
        struct fuse_attr_out attributes = { .attr = { .ino = 1, .mode = 0100600, .nlink = 1, .size = 16 << 20 } };
        struct fuse_open_out opened = { .fh = 1 };
        if (in->opcode == FUSE_INIT)
            answer(fd, in, &init, sizeof init);
        else if (in->opcode == FUSE_GETATTR)
            answer(fd, in, &attributes, sizeof attributes);
        else if (in->opcode == FUSE_OPEN)
            answer(fd, in, &opened, sizeof opened);
    }
    close(fd);
    umount2(path, MNT_DETACH);
    return 0;
}

int main(int count, char **words)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (count == 3 && strcmp(words[1], "silent") == 0)
        return be_silent(words[2]);
    puts("ready");
    fflush(stdout);
    while (count == 4 && !is_over()) {
        if (strcmp(words[1], "swap") == 0)
            renameat2(AT_FDCWD, words[2], AT_FDCWD, words[3], RENAME_EXCHANGE);
        if (strcmp(words[1], "resize") == 0 && (truncate(words[2], atol(words[3]) - 512) != 0 || truncate(words[2], atol(words[3])) != 0))
            return 1;
        usleep(50);
    }
    return 0;
}
#endif
