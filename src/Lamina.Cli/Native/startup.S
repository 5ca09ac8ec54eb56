/* Before the runtime starts: what it writes first, the tables of types (.hydrated, 2.5 MiB), is asked for in one piece. Else each of its 640 pages is a fault of its own, which is most of the
   time of a start where faults are dear. docs/adr/0026-quick-start.md. Where the kernel refuses, nothing is lost. */

        .set    SYS_madvise, 28
        .set    MADV_HUGEPAGE, 14
        .set    MADV_POPULATE_WRITE, 23
        .set    PAGE_MASK, -0x1000
        .set    HUGE_PAGE_MASK, -0x200000

        .text
        .type   lamina_prepare_memory, @function
lamina_prepare_memory:
        /* All memory of the program that begins as zeroes, up to its end: large pages for what fills them, ... */
        lea     __bss_start + 0xfff(%rip), %rdi
        and     $PAGE_MASK, %rdi
        lea     _end + 0xfff(%rip), %r8
        and     $PAGE_MASK, %r8
        mov     %r8, %rsi
        sub     %rdi, %rsi
        mov     $MADV_HUGEPAGE, %edx
        mov     $SYS_madvise, %eax
        syscall

        /* ... and the pages that are left behind the last large one. */
        mov     %r8, %rdi
        and     $HUGE_PAGE_MASK, %rdi
        mov     %r8, %rsi
        sub     %rdi, %rsi
        mov     $MADV_POPULATE_WRITE, %edx
        mov     $SYS_madvise, %eax
        syscall
        ret
        .size   lamina_prepare_memory, . - lamina_prepare_memory

        .section .init_array, "aw", @init_array
        .balign 8
        .quad   lamina_prepare_memory

        .section .note.GNU-stack, "", @progbits
