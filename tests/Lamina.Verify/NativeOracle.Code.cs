using Iced.Intel;
using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Verify;

/// <summary>The machine code around the instruction: loading and storing the registers, and the handler of its signals.</summary>
internal sealed unsafe partial class NativeOracle
{
    private static readonly AssemblerRegister64[] GeneralRegisters = [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
    private static readonly AssemblerRegisterSegment[] SegmentRegisters = [es, cs, ss, ds, fs, gs];
    private static readonly AssemblerRegister64[] SavedRegisters = [rbx, rbp, r12, r13, r14, r15];
    private static readonly AssemblerRegisterYMM[] VectorRegisters = [ymm0, ymm1, ymm2, ymm3, ymm4, ymm5, ymm6, ymm7, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13, ymm14, ymm15];

    // Returns the handler's address.
    private ulong Write()
    {
        Assembler a = new(64);
        ulong origin = (ulong)_base;
        WriteEnter(a, origin, legacy: false);
        Label legacy = a.CreateLabel();
        a.Label(ref legacy);
        WriteEnter(a, origin, legacy: true);
        Label leave = a.CreateLabel();
        Label leaveFault = a.CreateLabel();
        Label handler = a.CreateLabel();
        a.Label(ref leave);
        WriteLeave(a, origin);
        a.Label(ref leaveFault);
        WriteReturn(a, origin);
        a.Label(ref handler);
        WriteHandler(a, origin, leaveFault);
        using MemoryStream stream = new();
        AssemblerResult assembled = a.Assemble(new StreamCodeWriter(stream), origin, BlockEncoderOptions.ReturnNewInstructionOffsets);
        stream.ToArray().CopyTo(new Span<byte>(_base, InputOffset));
        _leave = assembled.GetLabelRIP(leave);
        _enterLegacy = assembled.GetLabelRIP(legacy);
        return assembled.GetLabelRIP(handler);
    }

    // 16- and 32-bit code is entered with its segments, by a far jump.
    private static void WriteEnter(Assembler a, ulong origin, bool legacy)
    {
        ulong input = origin + InputOffset;
        foreach (AssemblerRegister64 register in SavedRegisters)
        {
            a.push(register);
        }

        a.mov(__qword_ptr[(long)(origin + StackPointerOffset)], rsp);
        // The instruction was written through another mapping: fetching it needs a serializing instruction in between (Intel SDM volume 3, section 8.1.3), which IRET is.
        Label serialized = a.CreateLabel();
        a.mov(rcx, rsp);
        a.mov(eax, ss);
        a.push(rax);
        a.push(rcx);
        a.pushfq();
        a.mov(eax, cs);
        a.mov(__word_ptr[(long)(origin + OwnCodeOffset)], ax);
        a.push(rax);
        a.lea(rax, __[serialized]);
        a.push(rax);
        a.iretq();
        a.Label(ref serialized);
        WriteBases(a, origin);
        a.fxrstor64(__[(long)(input + NativeState.X87Offset)]);
        for (int n = 0; n < 16; n++)
        {
            a.vmovups(VectorRegisters[n], __[(long)(input + (ulong)(n * 32))]);
        }

        a.ldmxcsr(__dword_ptr[(long)(input + NativeState.MxcsrOffset)]);
        a.push(__qword_ptr[(long)(input + NativeState.FlagsOffset)]);
        a.popfq();
        a.mov(__byte_ptr[(long)(origin + ActiveOffset)], 1);
        for (int n = 0; n < SegmentRegisters.Length && legacy; n++)
        {
            if (n != SegmentValues.Cs)
            {
                a.mov(SegmentRegisters[n], __word_ptr[(long)(origin + SelectorsOffset + (ulong)(2 * n))]);
            }
        }

        for (int n = 0; n < 16; n++)
        {
            a.mov(GeneralRegisters[n], __qword_ptr[(long)(input + NativeState.GeneralOffset + (ulong)(n * 8))]);
        }

        a.jmp(legacy ? __fword_ptr[(long)(origin + FarSlotOffset)] : __qword_ptr[(long)(origin + SlotOffset)]);
    }

    private static void WriteLeave(Assembler a, ulong origin)
    {
        ulong output = origin + OutputOffset;
        for (int n = 0; n < 16; n++)
        {
            a.mov(__qword_ptr[(long)(output + NativeState.GeneralOffset + (ulong)(n * 8))], GeneralRegisters[n]);
        }

        a.mov(__byte_ptr[(long)(origin + ActiveOffset)], 0);
        a.mov(rsp, __qword_ptr[(long)(origin + StackPointerOffset)]);
        a.pushfq();
        a.pop(__qword_ptr[(long)(output + NativeState.FlagsOffset)]);
        for (int n = 0; n < 16; n++)
        {
            a.vmovups(__[(long)(output + (ulong)(n * 32))], VectorRegisters[n]);
        }

        a.stmxcsr(__dword_ptr[(long)(output + NativeState.MxcsrOffset)]);
        a.fxsave64(__[(long)(output + NativeState.X87Offset)]);
        Label end = a.CreateLabel();
        a.cmp(__byte_ptr[(long)(origin + SegmentsOffset)], 0);
        a.je(end);
        for (int n = 0; n < SegmentRegisters.Length; n++)
        {
            a.mov(__word_ptr[(long)(origin + SelectorsOffset + (ulong)(2 * n))], SegmentRegisters[n]);
        }

        a.Label(ref end);
        a.nop();
    }

    // What an instruction that loads a segment register is to leave as it was: bases are those of the thread.
    private static void WriteBases(Assembler a, ulong origin)
    {
        Label end = a.CreateLabel();
        a.cmp(__byte_ptr[(long)(origin + SegmentsOffset)], 0);
        a.je(end);
        for (int n = 0; n < SegmentRegisters.Length; n++)
        {
            a.mov(__word_ptr[(long)(origin + OriginalsOffset + (ulong)(2 * n))], SegmentRegisters[n]);
        }

        a.rdfsbase(rax);
        a.mov(__qword_ptr[(long)(origin + BasesOffset)], rax);
        a.rdgsbase(rax);
        a.mov(__qword_ptr[(long)(origin + BasesOffset + 8)], rax);
        a.Label(ref end);
        a.nop();
    }

    private static void RestoreSegments(Assembler a, ulong origin)
    {
        Label end = a.CreateLabel();
        a.cmp(__byte_ptr[(long)(origin + SegmentsOffset)], 0);
        a.je(end);
        for (int n = 0; n < SegmentRegisters.Length; n++)
        {
            if (n != SegmentValues.Cs)
            {
                a.mov(SegmentRegisters[n], __word_ptr[(long)(origin + OriginalsOffset + (ulong)(2 * n))]);
            }
        }

        a.mov(rax, __qword_ptr[(long)(origin + BasesOffset)]);
        a.wrfsbase(rax);
        a.mov(rax, __qword_ptr[(long)(origin + BasesOffset + 8)]);
        a.wrgsbase(rax);
        a.Label(ref end);
        a.nop();
    }

    private static void WriteReturn(Assembler a, ulong origin)
    {
        const int initialFlags = 0x202;
        a.mov(rsp, __qword_ptr[(long)(origin + StackPointerOffset)]);
        RestoreSegments(a, origin);
        a.fninit();
        a.vzeroupper();
        a.ldmxcsr(__dword_ptr[(long)(origin + MxcsrOffset)]);
        a.push(initialFlags);
        a.popfq();
        for (int n = SavedRegisters.Length - 1; n >= 0; n--)
        {
            a.pop(SavedRegisters[n]);
        }

        a.ret();
    }

    // (signal, siginfo, ucontext). What the runtime is to see goes on to it.
    private static void WriteHandler(Assembler a, ulong origin, Label leaveFault)
    {
        const int TrapResumeAndChecks = 0x4_0500;
        Label mine = a.CreateLabel();
        a.cmp(__byte_ptr[(long)(origin + ActiveOffset)], 0);
        a.jne(mine);
        a.mov(eax, edi);
        a.lea(r11, __[(long)(origin + OldHandlersOffset)]);
        a.jmp(__qword_ptr[r11 + (rax * 8)]);
        a.Label(ref mine);
        a.mov(__byte_ptr[(long)(origin + ActiveOffset)], 0);
        a.mov(__dword_ptr[(long)(origin + SignalOffset)], edi);
        a.mov(r8, rdx);
        a.cld();
        a.lea(rsi, __[r8 + ContextRegisters]);
        a.lea(rdi, __[(long)(origin + RegistersOffset)]);
        a.mov(ecx, RegisterCount);
        a.rep.movsq();
        a.mov(rsi, __qword_ptr[r8 + ContextExtended]);
        a.lea(rdi, __[(long)(origin + ExtendedOffset)]);
        a.mov(ecx, ExtendedWords);
        a.rep.movsq();
        for (int n = 0; n < SegmentRegisters.Length; n++)
        {
            a.mov(__word_ptr[(long)(origin + SelectorsOffset + (ulong)(2 * n))], SegmentRegisters[n]);
        }

        // What goes on is 64-bit code, as this is, whatever was interrupted.
        a.mov(eax, cs);
        a.mov(__word_ptr[r8 + (ContextRegisters + (8 * (int)Context.Selectors))], ax);
        a.mov(eax, ss);
        a.mov(__word_ptr[r8 + (ContextRegisters + (8 * (int)Context.Selectors) + StackSelector)], ax);
        a.lea(rax, __[leaveFault]);
        a.mov(__qword_ptr[r8 + (ContextRegisters + (8 * (int)Context.Rip))], rax);
        a.mov(rax, __qword_ptr[(long)(origin + StackPointerOffset)]);
        a.mov(__qword_ptr[r8 + (ContextRegisters + (8 * (int)Context.Rsp))], rax);
        a.and(__qword_ptr[r8 + (ContextRegisters + (8 * (int)Context.Flags))], ~TrapResumeAndChecks);
        a.ret();
    }
}
