using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Execute;

/// <summary>DAA, DAS, AAA, AAS, AAM, AAD (not in 64-bit mode).</summary>
internal static unsafe class DecimalHandlers
{
    /// <summary>27, 2F.</summary>
    public static bool AdjustPacked(ProcessorContext* c, Instruction* i)
    {
        bool subtract = i->Opcode == 0x2f;
        byte old = (byte)c->Registers[0];
        byte value = old;
        uint flags = 0;
        bool carry = (c->FlagCarry & 1) != 0;
        if ((old & 15) > 9 || (c->FlagCarry & Flags.Adjust) != 0)
        {
            value = (byte)(subtract ? value - 6 : value + 6);
            flags |= Flags.Adjust | (carry || (subtract ? old < 6 : old > 0xf9) ? Flags.Carry : 0);
        }

        if (old > 0x99 || carry)
        {
            value = (byte)(subtract ? value - 0x60 : value + 0x60);
            flags |= Flags.Carry;
        }

        *(byte*)c->Registers = value;
        Alu.SetResult<Width8>(c, value);
        c->FlagCarry = flags;
        return true;
    }

    /// <summary>37, 3F.</summary>
    public static bool AdjustAscii(ProcessorContext* c, Instruction* i)
    {
        ushort ax = (ushort)c->Registers[0];
        uint flags = 0;
        if ((ax & 15) > 9 || (c->FlagCarry & Flags.Adjust) != 0)
        {
            ax = (ushort)(i->Opcode == 0x3f ? ax - 0x106 : ax + 0x106);
            flags = Flags.Adjust | Flags.Carry;
        }

        ax &= 0xff0f;
        *(ushort*)c->Registers = ax;
        Alu.SetResult<Width8>(c, (byte)ax);
        c->FlagCarry = flags;
        return true;
    }

    /// <summary>D4.</summary>
    public static bool AdjustMultiply(ProcessorContext* c, Instruction* i)
    {
        byte divisor = (byte)i->Immediate;
        if (divisor == 0)
        {
            return Fault.DivideError(c);
        }

        byte al = (byte)c->Registers[0];
        *(ushort*)c->Registers = (ushort)(((al / divisor) << 8) | (al % divisor));
        Alu.Logic<Width8>(c, (byte)c->Registers[0]);
        return true;
    }

    /// <summary>D5.</summary>
    public static bool AdjustDivide(ProcessorContext* c, Instruction* i)
    {
        ushort ax = (ushort)c->Registers[0];
        byte value = (byte)((ax & 0xff) + ((ax >> 8) * (byte)i->Immediate));
        *(ushort*)c->Registers = value;
        Alu.Logic<Width8>(c, value);
        return true;
    }
}
