# The paths of an operating system that a processor in software has to be quick at, each in a loop, in cycles of the time-stamp counter: entries and exits of
# the kernel, page faults, loads of CR3 and code that changes. A kernel of its own, entered by PVH; prints to the first serial port and then waits.

        .section .note.pvh, "a", @note
        .balign 4
        .long 4, 8, 18                          # XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .quad start

        .set page, 0x800000                     # what page faults and loads of CR3 are tried on
        .set touched, 64
        .set kernel_code, 0x08
        .set kernel_data, 0x10
        .set user_base, 0x18
        .set user_data, 0x23
        .set user_code, 0x2b
        .set task, 0x30

        .text
        .code32
        .globl start
start:
        cli
        cld
        movl $stack_end, %esp

        # 1 GiB is itself, for everybody, in pages of 2 MiB; that of `page` in pages of 4 KiB.
        movl $directory_pointers + 7, root
        movl $directory + 7, directory_pointers
        movl $directory, %edi
        movl $0x87, %eax
        movl $512, %ecx
1:      movl %eax, (%edi)
        movl $0, 4(%edi)
        addl $0x200000, %eax
        addl $8, %edi
        loop 1b
        movl $table + 7, directory + 8 * (page >> 21)
        movl $table, %edi
        movl $page + 7, %eax
        movl $512, %ecx
1:      movl %eax, (%edi)
        movl $0, 4(%edi)
        addl $0x1000, %eax
        addl $8, %edi
        loop 1b

        movl $0x20, %eax                        # PAE
        movl %eax, %cr4
        movl $root, %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx                  # EFER: SCE, LME
        rdmsr
        orl $0x101, %eax
        wrmsr
        movl $0x80010033, %eax                  # PG, WP, NE, ET, MP, PE
        movl %eax, %cr0
        lgdt descriptors_pointer
        ljmp $kernel_code, $long

        .code64
long:
        movl $kernel_data, %eax
        movl %eax, %ss
        movl %eax, %ds
        movl %eax, %es
        movl $stack_end, %esp

        # The task's descriptor, and the gates.
        movl $task_segment, %eax
        movw %ax, descriptors + task + 2
        shrl $16, %eax
        movb %al, descriptors + task + 4
        movb %ah, descriptors + task + 7
        movl $task, %eax
        ltr %ax
        movl $14, %edi
        movl $page_fault, %eax
        movl $0x8e00, %edx
        call set_gate
        movl $0x80, %edi
        movl $software_interrupt, %eax
        movl $0xee00, %edx
        call set_gate
        movl $0x81, %edi
        movl $to_kernel, %eax
        movl $0xee00, %edx
        call set_gate
        lidt gates_pointer

        movl $0xc0000081, %ecx                  # STAR, LSTAR, FMASK
        xorl %eax, %eax
        movl $(user_base << 16) + kernel_code, %edx
        wrmsr
        movl $0xc0000082, %ecx
        movl $system_call, %eax
        xorl %edx, %edx
        wrmsr
        movl $0xc0000084, %ecx
        movl $0x40600, %eax
        wrmsr

        pushq $user_data
        pushq $user_stack_end
        pushq $2
        pushq $user_code
        pushq $user
        iretq

set_gate:                                       # vector EDI, handler EAX, type EDX
        shll $4, %edi
        movw %ax, gates(%rdi)
        movw $kernel_code, gates + 2(%rdi)
        movw %dx, gates + 4(%rdi)
        shrl $16, %eax
        movw %ax, gates + 6(%rdi)
        ret

# The loop `body` once to get warm, then `count` times; what that took is at `result`.
        .macro timed body, count, result
        movl $2000, %ebx
        call \body
        movl $\count, %ebx
        rdtsc
        shlq $32, %rdx
        leaq (%rdx, %rax), %r12
        call \body
        rdtsc
        shlq $32, %rdx
        addq %rdx, %rax
        subq %r12, %rax
        xorl %edx, %edx
        movl $\count, %ecx
        divq %rcx
        movq %rax, \result
        .endm

user:
        timed system_calls, 200000, system_call_cycles
        timed interrupts, 200000, interrupt_cycles
        int $0x81

system_calls:
1:      syscall
        decl %ebx
        jnz 1b
        ret

interrupts:
1:      int $0x80
        decl %ebx
        jnz 1b
        ret

system_call:
        sysretq

software_interrupt:
        iretq

to_kernel:
        movl $stack_end, %esp
        timed page_faults, 50000, page_fault_cycles
        timed root_loads, 5000, root_load_cycles
        timed changes, 20000, change_cycles
        movl $text_system_call, %esi
        movq system_call_cycles, %rax
        call print
        movl $text_interrupt, %esi
        movq interrupt_cycles, %rax
        call print
        movl $text_page_fault, %esi
        movq page_fault_cycles, %rax
        call print
        movl $text_root_load, %esi
        movq root_load_cycles, %rax
        call print
        movl $text_change, %esi
        movq change_cycles, %rax
        call print
        movl $text_end, %esi
        call print_text
1:      cli
        hlt
        jmp 1b

page_faults:
1:      movq $page + 6, table
        invlpg page
        movq page, %rax
        decl %ebx
        jnz 1b
        ret

page_fault:
        movq $page + 7, table
        addq $8, %rsp
        iretq

root_loads:
        movq %cr3, %rdx
1:      movq %rdx, %cr3
        movl $page, %edi
        movl $touched, %ecx
2:      addq (%rdi), %rax
        addq $0x1000, %rdi
        decl %ecx
        jnz 2b
        decl %ebx
        jnz 1b
        ret

changes:
        movl $page + 0x80000, %edi
        movb $0xb8, (%rdi)                      # MOV EAX, imm32; RET
        movb $0xc3, 5(%rdi)
1:      movl %ebx, 1(%rdi)
        call *%rdi
        decl %ebx
        jnz 1b
        ret

print:                                          # a text at ESI, the number RAX, an end of line
        pushq %rax
        call print_text
        popq %rax
        movl $digits_end, %edi
        movl $10, %ecx
1:      xorl %edx, %edx
        divq %rcx
        addb $'0', %dl
        decl %edi
        movb %dl, (%rdi)
        testq %rax, %rax
        jnz 1b
        movl %edi, %esi
        # what follows the digits ends the line

print_text:
        movl $0x3fd, %edx
1:      inb %dx, %al
        testb $0x20, %al
        jz 1b
        movl $0x3f8, %edx
        lodsb
        testb %al, %al
        jz 2f
        outb %al, %dx
        jmp print_text
2:      ret

text_system_call: .asciz "gate syscall "
text_interrupt: .asciz "gate int "
text_page_fault: .asciz "gate page-fault "
text_root_load: .asciz "gate cr3 "
text_change:    .asciz "gate change "
text_end:       .asciz "gates end\n"
digits:         .fill 24, 1, 0
digits_end:     .asciz "\n"

        .balign 16
descriptors:
        .quad 0
        .quad 0x00af9b000000ffff
        .quad 0x00cf93000000ffff
        .quad 0x00cffb000000ffff
        .quad 0x00cff3000000ffff
        .quad 0x00affb000000ffff
        .quad 0x0000890000000067
        .quad 0
descriptors_pointer:
        .word . - descriptors - 1
        .quad descriptors
gates_pointer:
        .word 0x83 * 16 - 1
        .quad gates
        .balign 16
task_segment:
        .long 0
        .quad interrupt_stack_end
        .fill 23, 4, 0

system_call_cycles: .quad 0
interrupt_cycles: .quad 0
page_fault_cycles: .quad 0
root_load_cycles: .quad 0
change_cycles:  .quad 0

        .balign 4096
root:   .fill 4096, 1, 0
directory_pointers: .fill 4096, 1, 0
directory: .fill 4096, 1, 0
table:  .fill 4096, 1, 0
gates:  .fill 4096, 1, 0
        .fill 4096, 1, 0
stack_end:
        .fill 4096, 1, 0
interrupt_stack_end:
        .fill 4096, 1, 0
user_stack_end:
