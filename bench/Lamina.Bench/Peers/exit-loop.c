/* The least that a VMM in C can do for a port write: KVM_RUN, look at the exit, do nothing, again. Prints nanoseconds for each of argv[1] exits. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? strtoul(argv[1], 0, 0) : 100000;
    int device = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int machine = ioctl(device, KVM_CREATE_VM, 0);
    ioctl(machine, KVM_SET_TSS_ADDR, 0xfffbd000);
    int processor = ioctl(machine, KVM_CREATE_VCPU, 0);
    unsigned char *ram = mmap(0, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region region = { 0, 0, 0, 0x10000, (unsigned long)ram };
    ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region);
    struct kvm_run *run = mmap(0, ioctl(device, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, processor, 0);

    /* out 80h, al; dec ecx; jnz back; hlt */
    static const unsigned char code[] = { 0xe6, 0x80, 0x66, 0x49, 0x75, 0xfa, 0xf4 };
    memcpy(ram + 0x1000, code, sizeof code);
    struct kvm_sregs system;
    ioctl(processor, KVM_GET_SREGS, &system);
    system.cs.base = system.cs.selector = 0;
    ioctl(processor, KVM_SET_SREGS, &system);
    struct kvm_regs registers = { .rip = 0x1000, .rcx = count, .rflags = 2 };
    ioctl(processor, KVM_SET_REGS, &registers);

    unsigned seen = 0;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        if (ioctl(processor, KVM_RUN, 0) != 0)
            return 1;
        if (run->exit_reason == KVM_EXIT_IO)
            seen++;
        else if (run->exit_reason == KVM_EXIT_HLT)
            break;
        else
            return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (seen != count)
        return 3;
    printf("%.2f\n", ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / count);
    return 0;
}
