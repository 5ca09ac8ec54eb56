// Runs members of the basket and prints a line for each: "@basket NAME COUNT-OF-UNITS NANOSECONDS CHECKSUM UNIT".
//
// Members are named by arguments, or separated by commas in the variable BASKET (a kernel hands words with a "=" to its first process so); without either
// all run. Each member runs in a process of its own, first a short round and then the timed one. As process 1 it switches the machine off at the end.

#define _GNU_SOURCE
#include "basket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define TIME_LIMIT 900

static const struct member *const tables[] = { compute_members, float_members, system_members, command_members };

void fail(const char *what)
{
    printf("@basket-error %s: %s\n", what, strerror(errno));
    fflush(stdout);
    _exit(1);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// Waits for a process and says whether it ended well.
static int reap(pid_t child, const char *name)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            fail("waitpid");
        }
    }

    if (WIFSIGNALED(status)) {
        printf("@basket-error %s: signal %d\n", name, WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        printf("@basket-error %s: status %d\n", name, WEXITSTATUS(status));
    } else {
        return 1;
    }

    fflush(stdout);
    return 0;
}

static void run_member(const struct member *member)
{
    pid_t child = fork();
    if (child < 0) {
        fail("fork");
    }

    if (child == 0) {
        alarm(TIME_LIMIT);
        member->run(member->warm);
        printf("@basket-start %s\n", member->name);
        fflush(stdout);
        uint64_t start = now();
        uint64_t sum = member->run(member->count);
        uint64_t time = now() - start;
        printf("@basket %s %llu %llu %016llx %s\n", member->name, (unsigned long long)(member->count * member->units), (unsigned long long)time,
               (unsigned long long)sum, member->unit);
        fflush(stdout);
        _exit(0);
    }

    reap(child, member->name);
}

// As many processes at once, each with the same work.
static uint64_t run_together(int processes, uint64_t count)
{
    pid_t children[8];
    uint64_t start = now();
    for (int n = 0; n < processes; n++) {
        children[n] = fork();
        if (children[n] < 0) {
            fail("fork");
        }

        if (children[n] == 0) {
            alarm(TIME_LIMIT);
            uint64_t sum = compute_load(count);
            KEEP(sum);
            _exit(0);
        }
    }

    for (int n = 0; n < processes; n++) {
        reap(children[n], "parallel");
    }

    return now() - start;
}

// Prints the time of one process and that of two at once.
static void run_parallel(void)
{
    const uint64_t count = 40;
    uint64_t sum = compute_load(2);
    run_together(2, 2);
    for (int processes = 1; processes <= 2; processes++) {
        uint64_t time = run_together(processes, count);
        printf("@basket parallel-%d %llu %llu %016llx load\n", processes, (unsigned long long)(processes * count), (unsigned long long)time, (unsigned long long)sum);
        fflush(stdout);
    }
}

// How fast the time-stamp counter counts, as the kernel's clock sees it.
static void run_counter(void)
{
    uint64_t start = now();
    uint64_t counter = __rdtsc();
    while (now() - start < 200000000u) {
    }

    uint64_t cycles = __rdtsc() - counter;
    printf("@basket tsc %llu %llu %016x cycle\n", (unsigned long long)cycles, (unsigned long long)(now() - start), 0);
    fflush(stdout);
}

static int run_named(const char *name)
{
    if (strcmp(name, "tsc") == 0) {
        run_counter();
        return 1;
    }

    if (strcmp(name, "parallel") == 0) {
        run_parallel();
        return 1;
    }

    int found = 0;
    for (size_t n = 0; n < sizeof tables / sizeof *tables; n++) {
        for (const struct member *member = tables[n]; member->name; member++) {
            if (strcmp(name, "all") == 0 || strcmp(name, member->name) == 0) {
                run_member(member);
                found = 1;
            }
        }
    }

    if (!found) {
        printf("@basket-error %s: there is no such member\n", name);
        fflush(stdout);
    }

    return found;
}

int main(int count, char **arguments)
{
    int first = getpid() == 1;
    if (first) {
        mkdir("/proc", 0755);
        mount("proc", "/proc", "proc", 0, NULL);
        mkdir("/work", 0755);
        if (chdir("/work") < 0) {
            fail("/work");
        }
    } else if (count == 2 && strcmp(arguments[1], "--list") == 0) {
        for (size_t n = 0; n < sizeof tables / sizeof *tables; n++) {
            for (const struct member *member = tables[n]; member->name; member++) {
                printf("%s\n", member->name);
            }
        }

        return 0;
    }

    int good = 1;
    char *names = getenv("BASKET");
    if (names) {
        for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
            good &= run_named(name);
        }
    } else if (count > 1 && !first) {
        for (int n = 1; n < count; n++) {
            good &= run_named(arguments[n]);
        }
    } else {
        good = run_named("all");
    }

    printf("@basket-end\n");
    fflush(stdout);
    if (first) {
        sync();
        reboot(RB_POWER_OFF);
    }

    return good ? 0 : 1;
}
