using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Fpu;

/// <summary>Finds the handlers of instructions that move whole register states, and of vector moves that touch memory element by element.</summary>
internal static unsafe class StateBinder
{
    /// <summary>See <see cref="VectorBinder.TryBind"/>.</summary>
    public static bool TryBind(Instruction* i, ProcessorFeatures features, int codeSize)
    {
        bool vex = (i->Flags & InstructionFlags.Vex) != 0;
        i->Handler = i->Map == 1 ? vex ? FindVex(i, features) : Find(i, features)
            : i->Map == 2 && vex ? FindMasked(i, features) : null;
        if (i->Handler == null)
        {
            return false;
        }

        if (i->Opcode == 0x101)
        {
            // The components that XCR0 may name.
            i->Immediate = 3 | ((features & ProcessorFeatures.Avx) != 0 ? 4 : 0);
            i->Data = (features & ProcessorFeatures.Xgetbv1) != 0 ? 1 : 0;
        }
        else if (i->Opcode == 0x1ae)
        {
            i->Data = (features & ProcessorFeatures.XsaveC) != 0 ? 1 : 0;
        }

        return true;
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> Find(Instruction* i, ProcessorFeatures features)
    {
        int digit = (i->ModRm >> 3) & 7;
        InstructionFlags prefix = i->Flags & InstructionFlags.Mandatory;
        bool plain = prefix == InstructionFlags.None;
        bool memory = plain && i->IsMemory;
        bool xsave = (features & ProcessorFeatures.Xsave) != 0;
        switch (i->Opcode)
        {
            case 0x101 when plain && xsave && i->ModRm == 0xd0:
                return &ExtendedState.GetControl;
            case 0x101 when plain && xsave && i->ModRm == 0xd1:
                return &ExtendedState.SetControl;
            case 0x177 when plain && (features & ProcessorFeatures.Mmx) != 0:
                return &StateHandlers.EmptyMmx;
            case 0x1f7 when !i->IsMemory && plain && (features & ProcessorFeatures.Sse) != 0:
                return &MaskedMoves.StoreMmxBytes;
            case 0x1f7 when !i->IsMemory && prefix == InstructionFlags.OperandSize && (features & ProcessorFeatures.Sse2) != 0:
                return &MaskedMoves.StoreBytes;
            case 0x1c7 when memory && digit == 4 && xsave && (features & ProcessorFeatures.XsaveC) != 0:
                return &ExtendedState.SaveCompact;
            case 0x1ae when memory:
                return digit switch
                {
                    0 when (features & ProcessorFeatures.Fxsr) != 0 => &LegacyState.Save,
                    1 when (features & ProcessorFeatures.Fxsr) != 0 => &LegacyState.Restore,
                    2 when (features & ProcessorFeatures.Sse) != 0 => &StateHandlers.LoadMxcsr,
                    3 when (features & ProcessorFeatures.Sse) != 0 => &StateHandlers.StoreMxcsr,
                    4 when xsave => &ExtendedState.Save,
                    5 when xsave => &ExtendedState.Restore,
                    6 when xsave && (features & ProcessorFeatures.XsaveOpt) != 0 => &ExtendedState.Save,
                    _ => null,
                };
            default:
                return null;
        }
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> FindVex(Instruction* i, ProcessorFeatures features)
    {
        InstructionFlags prefix = i->Flags & InstructionFlags.Mandatory;
        bool wide = (i->Flags & InstructionFlags.VexL) != 0;
        if ((features & ProcessorFeatures.Avx) == 0 || i->Vvvv != 0)
        {
            return null;
        }

        switch (i->Opcode)
        {
            case 0x177 when prefix == InstructionFlags.None:
                return wide ? &StateHandlers.ZeroAll : &StateHandlers.ZeroUpper;
            case 0x1ae when prefix == InstructionFlags.None && i->IsMemory && !wide:
                return ((i->ModRm >> 3) & 7) switch
                {
                    2 => &StateHandlers.LoadMxcsrVex,
                    3 => &StateHandlers.StoreMxcsrVex,
                    _ => null,
                };
            case 0x1f7 when prefix == InstructionFlags.OperandSize && !i->IsMemory && !wide:
                return &MaskedMoves.StoreBytesVex;
            default:
                return null;
        }
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> FindMasked(Instruction* i, ProcessorFeatures features)
    {
        if ((i->Flags & InstructionFlags.Mandatory) != InstructionFlags.OperandSize || !i->IsMemory)
        {
            return null;
        }

        bool avx = (features & ProcessorFeatures.Avx) != 0;
        bool avx2 = (features & ProcessorFeatures.Avx2) != 0;
        bool w = (i->Rex & 8) != 0;
        switch (i->Opcode)
        {
            case 0x22c or 0x22d when avx && !w:
                return (i->Opcode & 1) == 0 ? &MaskedMoves.Load<uint> : &MaskedMoves.Load<ulong>;
            case 0x22e or 0x22f when avx && !w:
                return (i->Opcode & 1) == 0 ? &MaskedMoves.Store<uint> : &MaskedMoves.Store<ulong>;
            case 0x28c when avx2:
                return w ? &MaskedMoves.Load<ulong> : &MaskedMoves.Load<uint>;
            case 0x28e when avx2:
                return w ? &MaskedMoves.Store<ulong> : &MaskedMoves.Store<uint>;
            case >= 0x290 and <= 0x293 when avx2:
                return Gathers.Find(i);
            default:
                return null;
        }
    }
}
