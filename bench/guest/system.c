// What the kernel has a part in.

#define _GNU_SOURCE
#include "basket.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u

static void *map(size_t size, int protection)
{
    void *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fail("mmap");
    }

    return memory;
}

static void unmap(void *memory, size_t size)
{
    if (munmap(memory, size) < 0) {
        fail("munmap");
    }
}

static uint64_t system_call(uint64_t count)
{
    uint64_t same = 0, parent = (uint64_t)getppid();
    for (uint64_t n = 0; n < count; n++) {
        uint64_t result;
        __asm__ volatile("syscall" : "=a"(result) : "0"((uint64_t)SYS_getppid) : "rcx", "r11", "memory");
        same += result == parent;
    }

    return same;
}

static uint64_t read_clock(uint64_t count)
{
    struct timespec last = { 0 }, now;
    uint64_t forwards = 0;
    for (uint64_t n = 0; n < count; n++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        forwards += now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec);
        last = now;
    }

    return forwards;
}

static uint64_t page_fault(uint64_t count)
{
    const size_t pages = 1024;
    uint64_t sum = 0;
    for (uint64_t n = 0; n < count; n++) {
        uint8_t *memory = map(pages * PAGE, PROT_READ | PROT_WRITE);
        if (madvise(memory, pages * PAGE, MADV_NOHUGEPAGE) < 0) {
            fail("madvise");
        }

        for (size_t page = 0; page < pages; page++) {
            memory[page * PAGE] = (uint8_t)(page + n);
        }

        for (size_t page = 0; page < pages; page++) {
            sum += memory[page * PAGE] + memory[page * PAGE + 1];
        }

        unmap(memory, pages * PAGE);
    }

    return sum;
}

static uint64_t fork_wait(uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t n = 0; n < count; n++) {
        pid_t child = fork();
        if (child < 0) {
            fail("fork");
        }

        if (child == 0) {
            _exit((int)(n & 0x7f));
        }

        int status;
        if (waitpid(child, &status, 0) != child) {
            fail("waitpid");
        }

        sum = mix(sum, (uint64_t)WEXITSTATUS(status));
    }

    return sum;
}

static uint64_t pipe_round(uint64_t count)
{
    int there[2], back[2];
    if (pipe(there) < 0 || pipe(back) < 0) {
        fail("pipe");
    }

    pid_t child = fork();
    if (child < 0) {
        fail("fork");
    }

    uint64_t value;
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        while (read(there[0], &value, sizeof value) == sizeof value) {
            value = value * 3 + 1;
            if (write(back[1], &value, sizeof value) != sizeof value) {
                _exit(1);
            }
        }

        _exit(0);
    }

    close(there[0]);
    close(back[1]);
    value = 1;
    for (uint64_t n = 0; n < count; n++) {
        if (write(there[1], &value, sizeof value) != sizeof value || read(back[0], &value, sizeof value) != sizeof value) {
            fail("pipe");
        }
    }

    close(there[1]);
    close(back[0]);
    int status;
    if (waitpid(child, &status, 0) != child) {
        fail("waitpid");
    }

    return mix(value, (uint64_t)status);
}

static uint64_t map_unmap(uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t n = 0; n < count; n++) {
        uint64_t *memory = map(16 * PAGE, PROT_READ | PROT_WRITE);
        memory[512] = n;
        sum += memory[512] + memory[0];
        unmap(memory, 16 * PAGE);
    }

    return sum;
}

// mov eax, N; ret
static void write_code(uint8_t *code, uint32_t number)
{
    code[0] = 0xb8;
    memcpy(code + 1, &number, sizeof number);
    code[5] = 0xc3;
}

static uint64_t protect(uint64_t count)
{
    uint8_t *code = map(PAGE, PROT_READ | PROT_WRITE);
    uint64_t sum = 0;
    for (uint64_t n = 0; n < count; n++) {
        if (mprotect(code, PAGE, PROT_READ | PROT_WRITE) < 0) {
            fail("mprotect");
        }

        write_code(code, (uint32_t)(n * 2654435761u));
        if (mprotect(code, PAGE, PROT_READ | PROT_EXEC) < 0) {
            fail("mprotect");
        }

        sum = mix(sum, ((uint32_t(*)(void))code)());
    }

    unmap(code, PAGE);
    return sum;
}

static uint64_t self_modify(uint64_t count)
{
    uint8_t *code = map(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    uint64_t sum = 0;
    for (uint64_t n = 0; n < count; n++) {
        write_code(code, (uint32_t)(n * 2654435761u));
        KEEP(code);
        sum = mix(sum, ((uint32_t(*)(void))code)());
    }

    unmap(code, PAGE);
    return sum;
}

static volatile uint64_t signals;

static void on_signal(int number)
{
    signals += (uint64_t)number;
}

static uint64_t signal_self(uint64_t count)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    if (sigaction(SIGUSR1, &action, NULL) < 0) {
        fail("sigaction");
    }

    signals = 0;
    pid_t self = getpid();
    for (uint64_t n = 0; n < count; n++) {
        if (kill(self, SIGUSR1) < 0) {
            fail("kill");
        }
    }

    return signals;
}

const struct member system_members[] = {
    { "syscall", "call", system_call, 1000, 500000, 1 },
    { "clock", "read", read_clock, 1000, 500000, 1 },
    { "page-fault", "page", page_fault, 1, 50, 1024 },
    { "fork-wait", "process", fork_wait, 5, 500, 1 },
    { "pipe", "round", pipe_round, 100, 10000, 1 },
    { "mmap", "mapping", map_unmap, 100, 20000, 1 },
    { "jit", "call", protect, 100, 10000, 1 },
    { "self-modify", "call", self_modify, 100, 50000, 1 },
    { "signal", "signal", signal_self, 100, 50000, 1 },
    { 0 },
};
