/* slow_disk: for LD_PRELOAD. Each fsync and fdatasync takes 5 ms longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

enum { DELAY = 5 * 1000 * 1000 /* ns */ };

static int delayed(const char *name, int fd) {
    int (*original)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    nanosleep(&(struct timespec){0, DELAY}, NULL);
    return original(fd);
}

int fsync(int fd) { return delayed("fsync", fd); }

int fdatasync(int fd) { return delayed("fdatasync", fd); }
