using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>An original encoding of a table row, on arbitrary registers, with [RBX + disp32] as the memory operand.</summary>
internal sealed class InstructionBytes
{
    public const int AddressRegister = 3;

    public required VectorRow Row { get; init; }

    public bool Vex { get; init; }

    public bool Wide { get; init; }

    public bool W { get; init; }

    public bool Word { get; init; }

    public bool Memory { get; init; }

    public int Reg { get; init; }

    public int Vvvv { get; init; }

    public int Rm { get; init; }

    public byte Immediate { get; init; }

    public int Displacement { get; init; }

    public byte[] Encode()
    {
        List<byte> bytes = [];
        int reg = Row.Digit >= 0 ? Row.Digit : Reg;
        int rm = Memory ? AddressRegister : Rm;
        int map = Row.Opcode >> 8;
        int prefix = Row.Prefix == 1 ? 0 : Row.Prefix;
        int r = reg >> 3;
        int b = rm >> 3;
        if (Vex)
        {
            int pp = prefix switch { 0x66 => 1, 0xf3 => 2, 0xf2 => 3, _ => 0 };
            int last = ((~(Row.Vvvv == OperandKind.None ? 0 : Vvvv) & 15) << 3) | (Wide ? 4 : 0) | pp;
            if (map == 1 && !W && b == 0)
            {
                bytes.AddRange([0xc5, (byte)(((r ^ 1) << 7) | last)]);
            }
            else
            {
                bytes.AddRange([0xc4, (byte)(((r ^ 1) << 7) | 0x40 | ((b ^ 1) << 5) | map), (byte)((W ? 0x80 : 0) | last)]);
            }
        }
        else
        {
            if (Word)
            {
                bytes.Add(0x66);
            }

            if (prefix != 0)
            {
                bytes.Add((byte)prefix);
            }

            int rex = (W ? 8 : 0) | (r << 2) | b;
            if (rex != 0)
            {
                bytes.Add((byte)(0x40 | rex));
            }

            bytes.Add(0x0f);
            if (map > 1)
            {
                bytes.Add((byte)(map == 2 ? 0x38 : 0x3a));
            }
        }

        bytes.Add((byte)Row.Opcode);
        bytes.Add((byte)((Memory ? 0x80 : 0xc0) | ((reg & 7) << 3) | (rm & 7)));
        if (Memory)
        {
            bytes.AddRange(BitConverter.GetBytes(Displacement));
        }

        if (Row.Immediate)
        {
            bytes.Add(Immediate);
        }

        return [.. bytes];
    }
}
