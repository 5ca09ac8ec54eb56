using Lamina.SoftCpu.Emit;

namespace Lamina.SoftCpu.Fpu;

/// <summary>
/// Writes stubs. A vector stub is <c>void(ProcessorContext* rdi, byte* rm rsi, byte* reg rdx, byte* vvvv rcx)</c>: it moves the operands to the registers of
/// <see cref="VectorEncoder"/>, executes the instruction, moves the results back and leaves the host's state as it was. An x87 stub is
/// <c>void(ProcessorContext* rdi, byte* memory rsi)</c>. They touch the context and their operands, nothing else, and change no callee-saved register.
/// </summary>
internal static class StubEmitter
{
    /// <summary>Upper bound of a stub's bytes.</summary>
    public const int MaximumLength = 192;

    /// <summary>Writes a vector stub.</summary>
    /// <param name="w">Where to.</param>
    /// <param name="form">The instruction.</param>
    /// <param name="hostMxcsr">Address of the MXCSR to leave behind.</param>
    public static void Vector(ref CodeWriter w, in VectorForm form, nint hostMxcsr)
    {
        VectorRow row = form.Row;
        int regPointer = CodeWriter.Rdx;
        if (row.Has(RowAttributes.ReadsLengths | RowAttributes.ReadsRdx))
        {
            regPointer = CodeWriter.R11;
            w.Copy(CodeWriter.R11, CodeWriter.Rdx);
        }

        LoadOperands(ref w, form, regPointer);
        bool mxcsr = row.Has(RowAttributes.Mxcsr);
        if (mxcsr)
        {
            w.LoadMxcsr(CodeWriter.Rdi, ContextOffsets.MxcsrWork);
        }

        if (row.Has(RowAttributes.FlagsIn))
        {
            w.LoadFlags(CodeWriter.Rdi, ContextOffsets.StubFlags);
        }

        VectorEncoder.Write(ref w, form);
        if (row.Has(RowAttributes.FlagsOut))
        {
            w.StoreFlags(CodeWriter.Rdi, ContextOffsets.StubFlags);
        }

        if (mxcsr)
        {
            w.StoreMxcsr(CodeWriter.Rdi, ContextOffsets.MxcsrResult);
            w.LoadImmediate(CodeWriter.Rax, hostMxcsr);
            w.LoadMxcsr(CodeWriter.Rax, 0);
        }

        StoreResults(ref w, form, regPointer);
        if (form.Vex && row.UsesVectors)
        {
            w.ZeroUpper();
        }

        if (row.UsesMmx)
        {
            w.EmptyMmx();
        }

        w.Return();
    }

    /// <summary>Writes an x87 stub. The image at the context's start is the whole state; its MXCSR is the host's.</summary>
    public static void X87(ref CodeWriter w, byte opcode, byte modRm)
    {
        w.Bytes([0x48, 0x0f, 0xae, 0x0f]); // fxrstor64 [rdi]
        if (X87Table.ReadsFlags(opcode, modRm))
        {
            w.LoadFlags(CodeWriter.Rdi, ContextOffsets.StubFlags);
        }

        w.Byte(opcode);
        w.Byte(modRm < 0xc0 ? (modRm & 0x38) | CodeWriter.Rsi : modRm);
        if (X87Table.WritesFlags(opcode, modRm))
        {
            w.StoreFlags(CodeWriter.Rdi, ContextOffsets.StubFlags);
        }

        w.Bytes([0x48, 0x0f, 0xae, 0x07]); // fxsave64 [rdi]

        // FNINIT, or the faster EMMS if the control word is already the host's; then no exception can be pending.
        w.Bytes([0x66, 0x81, 0x3f, 0x7f, 0x03]); // cmp word [rdi], 0x37f
        w.Bytes([0x75, 0x03]); // jne
        w.EmptyMmx();
        w.Return();
        w.Bytes([0xdb, 0xe3]); // fninit
        w.Return();
    }

    private static void LoadOperands(ref CodeWriter w, in VectorForm form, int regPointer)
    {
        VectorRow row = form.Row;
        Move(ref w, form, row.Reg, false, VectorEncoder.RegVector, VectorEncoder.RegGeneral, regPointer);
        if (form.Vex)
        {
            Move(ref w, form, row.Vvvv, false, VectorEncoder.VvvvVector, VectorEncoder.VvvvGeneral, CodeWriter.Rcx);
        }

        if (!form.Memory)
        {
            Move(ref w, form, row.Rm, false, VectorEncoder.RmVector, -1, CodeWriter.Rsi);
        }

        if (row.ImmediateRegister)
        {
            MoveVector(ref w, form, false, VectorEncoder.ImmediateVector, CodeWriter.Rdi, ContextOffsets.Vector(form.Immediate >> 4));
        }

        if (row.Has(RowAttributes.ReadsXmm0))
        {
            MoveVector(ref w, form, false, 0, CodeWriter.Rdi, ContextOffsets.Vector(0));
        }

        if (row.Has(RowAttributes.ReadsLengths))
        {
            w.Load(CodeWriter.Rax, CodeWriter.Rdi, ContextOffsets.General(CodeWriter.Rax));
        }

        if (row.Has(RowAttributes.ReadsLengths | RowAttributes.ReadsRdx))
        {
            w.Load(CodeWriter.Rdx, CodeWriter.Rdi, ContextOffsets.General(CodeWriter.Rdx));
        }
    }

    private static void StoreResults(ref CodeWriter w, in VectorForm form, int regPointer)
    {
        VectorRow row = form.Row;
        if (row.Has(RowAttributes.WritesRcx))
        {
            w.Store(CodeWriter.Rcx, CodeWriter.Rdi, ContextOffsets.General(CodeWriter.Rcx));
        }

        if (row.Has(RowAttributes.WritesXmm0))
        {
            MoveVector(ref w, form, true, 0, CodeWriter.Rdi, ContextOffsets.Vector(0));
        }

        if ((row.Destination & Destination.Vvvv) != 0)
        {
            Move(ref w, form, row.Vvvv, true, VectorEncoder.VvvvVector, VectorEncoder.VvvvGeneral, CodeWriter.Rcx);
        }

        // After vvvv: where MULX names one register twice, ModRM.reg wins.
        if ((row.Destination & Destination.Reg) != 0)
        {
            Move(ref w, form, row.Reg, true, VectorEncoder.RegVector, VectorEncoder.RegGeneral, regPointer);
        }

        if ((row.Destination & Destination.Rm) != 0 && !form.Memory)
        {
            Move(ref w, form, row.Rm, true, VectorEncoder.RmVector, -1, CodeWriter.Rsi);
        }
    }

    private static void Move(ref CodeWriter w, in VectorForm form, OperandKind kind, bool store, int vector, int general, int pointer)
    {
        switch (kind)
        {
            case OperandKind.Vector:
                MoveVector(ref w, form, store, vector, pointer, 0);
                break;
            case OperandKind.Mmx:
                w.MoveMm(store, vector, pointer);
                break;
            case OperandKind.General when store:
                w.Store(general, pointer);
                break;
            case OperandKind.General:
                w.Load(general, pointer);
                break;
        }
    }

    // VEX writes whole registers; legacy instructions leave the upper half of a YMM register, and so does moving only the lower.
    private static void MoveVector(ref CodeWriter w, in VectorForm form, bool store, int register, int pointer, int displacement)
    {
        if (form.Vex)
        {
            w.MoveYmm(store, register, pointer, displacement);
        }
        else
        {
            w.MoveXmm(store, register, pointer, displacement);
        }
    }
}
