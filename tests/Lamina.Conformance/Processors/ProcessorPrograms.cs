using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Conformance.Processors;

/// <summary>The programs.</summary>
internal static class ProcessorPrograms
{
    private const ulong UndefinedAfterMultiply = 0xd4;
    private const uint Star = 0xc000_0081;
    private const uint LongStar = 0xc000_0082;
    private const uint FlagMask = 0xc000_0084;
    private const uint KernelGs = 0xc000_0102;

    public static readonly ProcessorProgram[] All =
    [
        new("integers in ring 0", ProgramMode.Kernel, c => Integers(c, ring3: false)),
        new("integers in ring 3", ProgramMode.User, c => Integers(c, ring3: true)),
        new("integers in real mode", ProgramMode.Real, RealIntegers),
        new("protected mode", ProgramMode.Protected, Protected),
        new("stack and calls", ProgramMode.User, Calls),
        new("strings", ProgramMode.Kernel, Strings),
        new("ports", ProgramMode.Kernel, Ports),
        new("device registers", ProgramMode.Kernel, DeviceRegisters),
        new("device registers in ring 3", ProgramMode.User, DeviceRegisters),
        new("a device register that crosses eight bytes", ProgramMode.Kernel, WideDevice),
        new("division by zero", ProgramMode.Kernel, c => { c.mov(eax, 7); c.xor(edx, edx); c.xor(ecx, ecx); c.div(ecx); }, UndefinedAfterMultiply | 1 | 0x800),
        new("undefined instruction", ProgramMode.User, c => c.ud2()),
        new("breakpoint", ProgramMode.User, c => c.int3()),
        new("breakpoint in ring 0", ProgramMode.Kernel, c => c.int3()),
        new("software interrupt", ProgramMode.User, c => c.@int(0x80), NeedsHardware: true),
        new("page fault on reading", ProgramMode.User, c => { c.mov(rbx, (long)Layout.Absent + 0x123); c.mov(rax, __qword_ptr[rbx]); }),
        new("page fault on writing", ProgramMode.Kernel, c => { c.mov(rbx, (long)Layout.Absent + 0x456); c.mov(__qword_ptr[rbx], rax); }),
        new("page fault on execution", ProgramMode.Kernel, c => { c.mov(rbx, (long)Layout.Absent); c.jmp(rbx); }),
        new("non-canonical address", ProgramMode.User, c => { c.mov(rbx, 0x8000_0000_0000); c.mov(rax, __qword_ptr[rbx]); }),
        new("privileged instruction in ring 3", ProgramMode.User, c => c.cli()),
        new("general protection with a selector", ProgramMode.Kernel, c => { c.mov(eax, 0x58); c.mov(ds, eax); }),
        new("atomic operations", ProgramMode.Kernel, Atomics),
        new("atomic operations in ring 3", ProgramMode.User, c => { Atomics(c, hlt: false); c.ud2(); }),
        new("SSE", ProgramMode.User, c => { Vectors(c); c.ud2(); }),
        new("SSE in ring 0", ProgramMode.Kernel, c => { Vectors(c); c.hlt(); }),
        new("x87", ProgramMode.User, c => { FloatingPoint(c); c.ud2(); }),
        new("FXSAVE and FXRSTOR in ring 0", ProgramMode.Kernel, SaveVectors),
        new("MSRs, SYSCALL and SYSRET", ProgramMode.Kernel, SystemCalls, NeedsHardware: true),
        new("SWAPGS", ProgramMode.Kernel, SwapGs),
        new("an MSR that does not exist", ProgramMode.Kernel, c => { c.mov(ecx, 0x1234_5678); c.rdmsr(); }),
        new("control registers", ProgramMode.Kernel, ControlRegisters),
        new("descriptor tables", ProgramMode.Kernel, Tables),
        new("from ring 0 to ring 3 and back", ProgramMode.Kernel, Rings),
        new("segments", ProgramMode.Kernel, Segments),
        new("CPUID", ProgramMode.Kernel, Cpuid, NeedsHardware: true),
    ];

    private static void End(Assembler c, bool ring3)
    {
        if (ring3)
        {
            c.ud2();
        }
        else
        {
            c.hlt();
        }
    }

    private static void Integers(Assembler c, bool ring3)
    {
        Label loop = c.CreateLabel();
        c.mov(rsi, (long)Layout.Data);
        c.mov(ecx, 50);
        c.mov(rax, 0x1234_5678_9abc_def0);
        c.Label(ref loop);
        c.add(rax, __qword_ptr[rsi + (rcx * 8)]);
        c.rol(rax, 7);
        c.xor(rbx, rax);
        c.adc(rdx, rbx);
        c.imul(r8, rbx, 0x1001);
        c.shld(r9, rax, 5);
        c.bsr(r10, rax);
        c.add(r10, rax);
        c.setb(r11b);
        c.cmovs(r12, rdx);
        c.bswap(r13);
        c.add(r13, r8);
        c.mov(__qword_ptr[rsi + (rcx * 8)], r13);
        c.movsx(r14, ax);
        c.sbb(r15, r14);
        c.dec(ecx);
        c.jnz(loop);
        c.test(rax, rax);
        End(c, ring3);
    }

    private static void RealIntegers(Assembler c)
    {
        Label loop = c.CreateLabel();
        c.mov(ax, 0x2000);
        c.mov(ds, ax);
        c.mov(es, ax);
        c.mov(cx, 60);
        c.Label(ref loop);
        c.mov(bx, cx);
        c.shl(bx, 1);
        c.mov(__word_ptr[bx], cx);
        c.add(dx, __word_ptr[bx]);
        c.push(dx);
        c.rol(dx, 3);
        c.pop(si);
        c.xor(di, si);
        c.loop(loop);
        c.mov(eax, 0x1234_5678);
        c.mul(eax);
        c.cmp(di, di);
        c.hlt();
    }

    private static void Protected(Assembler c)
    {
        Label loop = c.CreateLabel();
        c.mov(esi, (int)Layout.Data);
        c.mov(ecx, 40);
        c.Label(ref loop);
        c.add(eax, __dword_ptr[esi + (ecx * 4)]);
        c.push(eax);
        c.pushfd();
        c.pop(edx);
        c.pop(ebx);
        c.xor(edi, ebx);
        c.dec(ecx);
        c.jnz(loop);
        c.aaa();
        c.pushad();
        c.popad();
        c.cmp(eax, eax);
        c.hlt();
    }

    private static void Calls(Assembler c)
    {
        Label function = c.CreateLabel();
        Label after = c.CreateLabel();
        c.mov(edi, 10);
        c.call(function);
        c.jmp(after);
        c.Label(ref function);
        c.push(rbp);
        c.mov(rbp, rsp);
        c.sub(rsp, 0x40);
        c.mov(__qword_ptr[rbp - 8], rdi);
        Label leaf = c.CreateLabel();
        c.dec(edi);
        c.jz(leaf);
        c.call(function);
        c.add(rax, __qword_ptr[rbp - 8]);
        c.Label(ref leaf);
        c.leave();
        c.ret();
        c.Label(ref after);
        c.pushfq();
        c.pop(rcx);
        c.enter(32, 0);
        c.leave();
        c.ud2();
    }

    private static void Strings(Assembler c)
    {
        c.mov(rsi, (long)Layout.Data);
        c.mov(rdi, (long)Layout.Data + 0x800);
        c.mov(ecx, 100);
        c.rep.movsq();
        c.mov(al, 0x5a);
        c.mov(ecx, 33);
        c.rep.stosb();
        c.mov(rsi, (long)Layout.Data);
        c.mov(rdi, (long)Layout.Data + 0x800);
        c.mov(ecx, 200);
        c.repe.cmpsb();
        c.mov(rdi, (long)Layout.Data + 0x800);
        c.mov(ecx, 2000);
        c.mov(al, 0x5a);
        c.repne.scasb();
        c.std();
        c.lodsw();
        c.cld();
        c.hlt();
    }

    private static void Ports(Assembler c)
    {
        c.mov(dx, (short)Layout.Ports);
        c.mov(eax, 0x1234_5678);
        c.@out(dx, al);
        c.@out(dx, ax);
        c.@out(dx, eax);
        c.@in(al, dx);
        c.mov(ebx, eax);
        c.inc(edx);
        c.@in(ax, dx);
        c.mov(ebp, eax);
        c.@in(eax, dx);
        c.mov(rsi, (long)Layout.Data);
        c.mov(rdi, (long)Layout.Data + 0x400);
        c.mov(ecx, 9);
        c.rep.outsb();
        c.mov(ecx, 5);
        c.rep.insd();
        c.hlt();
    }

    private static void DeviceRegisters(Assembler c)
    {
        c.mov(rbx, unchecked((long)Layout.Device));
        c.mov(rax, 0x1122_3344_5566_7788);
        c.mov(__byte_ptr[rbx], al);
        c.mov(__word_ptr[rbx + 2], ax);
        c.mov(__dword_ptr[rbx + 4], eax);
        c.mov(__qword_ptr[rbx + 8], rax);
        c.movzx(ecx, __byte_ptr[rbx + 1]);
        c.movsx(rdx, __word_ptr[rbx + 6]);
        c.mov(esi, __dword_ptr[rbx + 12]);
        c.mov(rdi, __qword_ptr[rbx + 16]);
        c.or(__dword_ptr[rbx + 20], 0x55);
        c.add(r8, __qword_ptr[rbx + 24]);
        c.xchg(__dword_ptr[rbx + 32], r8d);
        c.test(__dword_ptr[rbx], 1);
        c.cmp(r9, r9);
        c.ud2();
    }

    private static void WideDevice(Assembler c)
    {
        c.mov(rbx, unchecked((long)Layout.Device));
        c.mov(rsi, rbx);
        c.mov(rdi, (long)Layout.Data);
        c.mov(ecx, 3);
        c.rep.movsq();
        c.mov(rsi, (long)Layout.Data);
        c.mov(rdi, rbx);
        c.mov(ecx, 7);
        c.rep.movsb();
        c.push(__qword_ptr[rbx + 8]);
        c.pop(rax);
        c.hlt();
    }

    private static void Atomics(Assembler c) => Atomics(c, hlt: true);

    private static void Atomics(Assembler c, bool hlt)
    {
        c.mov(rbx, (long)Layout.Data);
        c.mov(rsi, (long)Layout.Data);
        c.mov(rax, __qword_ptr[rsi]);
        c.mov(rdx, __qword_ptr[rsi + 8]);
        c.mov(ecx, 0x77);
        c.@lock.cmpxchg16b(__xmmword_ptr[rsi]);
        c.pushfq();
        c.pop(r8);
        c.@lock.cmpxchg16b(__xmmword_ptr[rsi]);
        c.pushfq();
        c.pop(r9);
        c.cmpxchg8b(__qword_ptr[rsi + 16]);
        c.@lock.xadd(__qword_ptr[rsi + 32], rcx);
        c.@lock.inc(__dword_ptr[rsi + 40]);
        c.@lock.bts(__qword_ptr[rsi + 48], 5);
        c.cmpxchg(__dword_ptr[rsi + 56], ecx);
        c.@lock.or(__dword_ptr[rsi + 60], ecx);
        c.xchg(__qword_ptr[rsi + 64], rax);
        c.cmp(eax, eax);
        if (hlt)
        {
            c.hlt();
        }
    }

    private static void Vectors(Assembler c)
    {
        c.mov(rsi, (long)Layout.Data);
        c.movups(xmm0, __xmmword_ptr[rsi]);
        c.movdqu(xmm1, __xmmword_ptr[rsi + 16]);
        c.pxor(xmm2, xmm2);
        c.paddq(xmm0, xmm1);
        c.pmuludq(xmm1, xmm0);
        c.mov(eax, 7);
        c.cvtsi2sd(xmm3, eax);
        c.sqrtsd(xmm4, xmm3);
        c.divsd(xmm3, xmm4);
        c.movups(__xmmword_ptr[rsi + 32], xmm0);
        c.movd(ecx, xmm1);
        c.pshufd(xmm5, xmm0, 0x1b);
        c.stmxcsr(__dword_ptr[rsi + 64]);
        c.comisd(xmm3, xmm4);
    }

    private static void FloatingPoint(Assembler c)
    {
        c.mov(rsi, (long)Layout.Data);
        c.fninit();
        c.fld1();
        c.fldpi();
        c.fmul(st0, st1);
        c.fsqrt();
        c.fst(__qword_ptr[rsi]);
        c.fild(__dword_ptr[rsi + 8]);
        c.fadd(st0, st1);
        c.fstp(__qword_ptr[rsi + 16]);
        c.fnstsw(ax);
        c.fnstcw(__word_ptr[rsi + 24]);
    }

    private static void SaveVectors(Assembler c)
    {
        c.mov(rsi, (long)Layout.Data);
        c.movups(xmm7, __xmmword_ptr[rsi]);
        c.fninit();
        c.fld1();
        c.mov(rdi, (long)Layout.Data + 0x1000);
        c.fxsave(__[rdi]);
        c.fninit();
        c.pxor(xmm7, xmm7);
        c.fxrstor(__[rdi]);
        c.mov(rax, __qword_ptr[rdi]);

        // Reserved bytes are the processor's own.
        c.xor(eax, eax);
        c.mov(ecx, 64);
        c.rep.stosq();
        c.hlt();
    }

    private static void WriteMsr(Assembler c, uint index, ulong value)
    {
        c.mov(ecx, index);
        c.mov(eax, (uint)value);
        c.mov(edx, (uint)(value >> 32));
        c.wrmsr();
    }

    private static void SystemCalls(Assembler c)
    {
        Label entry = c.CreateLabel();
        Label user = c.CreateLabel();
        WriteMsr(c, Star, 0x0023_0008_0000_0000);
        c.lea(rax, __[entry]);
        c.mov(rdx, rax);
        c.shr(rdx, 32);
        c.mov(ecx, LongStar);
        c.wrmsr();
        WriteMsr(c, FlagMask, 0x700);
        c.rdmsr();
        c.lea(rcx, __[user]);
        c.mov(r11d, 0x202);
        c.mov(rsp, (long)Layout.UserStack);
        c.sysretq();
        c.Label(ref user);
        c.mov(edi, 0x1234);
        c.syscall();
        c.Label(ref entry);
        c.pushfq();
        c.pop(rbp);
        c.mov(r8, rsp);
        c.hlt();
    }

    private static void SwapGs(Assembler c)
    {
        WriteMsr(c, KernelGs, Layout.Data);
        c.mov(rax, __qword_ptr[(long)Layout.Data + 8]);
        c.swapgs();
        c.mov(rbx, __qword_ptr.gs[8]);
        c.swapgs();
        c.mov(ecx, KernelGs);
        c.rdmsr();
        c.hlt();
    }

    private static void ControlRegisters(Assembler c)
    {
        c.mov(rax, cr0);
        c.mov(rbx, rax);
        c.or(rax, 8);
        c.mov(cr0, rax);
        c.clts();
        c.mov(rcx, cr4);
        c.or(rcx, 0x80);
        c.mov(cr4, rcx);
        c.mov(rdx, cr3);
        c.mov(cr3, rdx);
        c.mov(eax, 0x1234);
        c.mov(cr2, rax);
        c.mov(eax, 5);
        c.mov(cr8, rax);
        c.mov(rsi, cr8);
        c.mov(rdi, 0x1111);
        c.mov(dr0, rdi);
        c.mov(r8, dr0);
        c.invlpg(__[rdi]);
        c.smsw(r9d);
        c.hlt();
    }

    private static void Tables(Assembler c)
    {
        c.mov(rbx, (long)Layout.Data);
        c.sgdt(__[rbx]);
        c.sidt(__[rbx + 16]);
        c.str(eax);
        c.sldt(edx);
        c.lgdt(__[rbx]);
        c.lidt(__[rbx + 16]);
        c.xor(ecx, ecx);
        c.lldt(cx);
        c.mov(esi, Layout.UserData);
        c.lar(edi, esi);

        // Bits 19:16 are undefined: AMD's manual and Intel's.
        c.and(edi, 0x00f0ff00);
        c.lsl(ebp, esi);
        c.verr(si);
        c.hlt();
    }

    private static void Rings(Assembler c)
    {
        Label user = c.CreateLabel();
        c.xor(eax, eax);
        c.mov(ds, eax);
        c.mov(es, eax);
        c.mov(fs, eax);
        c.mov(gs, eax);
        c.push(Layout.UserData);
        c.mov(eax, (uint)Layout.UserStack);
        c.push(rax);
        c.push(0x202);
        c.push(Layout.UserCode);
        c.lea(rax, __[user]);
        c.push(rax);
        c.iretq();
        c.Label(ref user);
        c.mov(ebx, cs);
        c.mov(ecx, ss);
        c.push(rbx);
        c.add(rdx, 5);
        c.ud2();
    }

    private static void Segments(Assembler c)
    {
        c.mov(eax, Layout.UserData);
        c.mov(ds, eax);
        c.mov(es, eax);
        c.xor(eax, eax);
        c.mov(fs, eax);
        c.mov(ebx, fs);
        c.push(fs);
        c.pop(gs);
        c.mov(eax, Layout.KernelData);
        c.mov(ss, eax);
        c.mov(ecx, 1);
        c.hlt();
    }

    private static void Cpuid(Assembler c)
    {
        c.mov(rsi, (long)Layout.Data);
        foreach (uint leaf in (uint[])[0, 1, 0x8000_0000, 0x8000_0001, 0x8000_0008])
        {
            c.mov(eax, leaf);
            c.xor(ecx, ecx);
            c.cpuid();
            c.mov(__dword_ptr[rsi], eax);
            c.mov(__dword_ptr[rsi + 4], ebx);
            c.mov(__dword_ptr[rsi + 8], ecx);
            c.mov(__dword_ptr[rsi + 12], edx);
            c.add(rsi, 16);
        }

        c.ud2();
    }
}
