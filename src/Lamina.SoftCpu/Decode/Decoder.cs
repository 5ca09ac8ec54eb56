using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Decode;

/// <summary>
/// Turns bytes into an <see cref="Instruction"/>, for 16-, 32- and 64-bit code (Intel SDM volume 2, chapter 2). It finds the length and the
/// operands of everything up to VEX; whether the opcode means anything is the binder's business.
/// </summary>
internal static unsafe class Decoder
{
    private const int MaximumLength = 15;

    /// <summary>
    /// Decodes at <paramref name="code"/>, of which <paramref name="available"/> bytes may be read, for a code segment whose default size is
    /// <paramref name="codeSize"/>: 2, 4 or 8.
    /// </summary>
    public static DecodeStatus Decode(byte* code, int available, int codeSize, out Instruction i)
    {
        i = default;
        int limit = Math.Min(available, MaximumLength);
        DecodeStatus shortStatus = available >= MaximumLength ? DecodeStatus.TooLong : DecodeStatus.Truncated;
        int n = 0;
        InstructionFlags flags = InstructionFlags.None;
        int segment = -1;
        byte rex = 0;
        byte op;
        while (true)
        {
            if (n >= limit)
            {
                return shortStatus;
            }

            op = code[n++];
            switch (op)
            {
                case 0x66:
                    flags |= InstructionFlags.OperandSize;
                    break;
                case 0x67:
                    flags |= InstructionFlags.AddressSize;
                    break;
                case 0xf0:
                    flags |= InstructionFlags.Lock;
                    break;
                case 0xf2:
                    flags = (flags & ~InstructionFlags.Rep) | InstructionFlags.Repne;
                    break;
                case 0xf3:
                    flags = (flags & ~InstructionFlags.Repne) | InstructionFlags.Rep;
                    break;
                case 0x26 or 0x2e or 0x36 or 0x3e:
                    segment = codeSize == 8 ? segment : (op >> 3) & 3;
                    break;
                case 0x64 or 0x65:
                    segment = op - 0x60;
                    break;
                default:
                    if ((op & 0xf0) == 0x40 && codeSize == 8)
                    {
                        rex = op;
                        continue;
                    }

                    goto opcode;
            }

            rex = 0;
        }

    opcode:
        int map = 0;
        int vvvv = 0;
        if (op == 0x0f)
        {
            if (n >= limit)
            {
                return shortStatus;
            }

            op = code[n++];
            map = 1;
            if (op is 0x38 or 0x3a)
            {
                if (n >= limit)
                {
                    return shortStatus;
                }

                map = op == 0x38 ? 2 : 3;
                op = code[n++];
            }
        }
        else if (op is 0xc4 or 0xc5)
        {
            if (n >= limit)
            {
                return shortStatus;
            }

            if (codeSize == 8 || code[n] >= 0xc0)
            {
                if (rex != 0 || (flags & (InstructionFlags.Mandatory | InstructionFlags.Lock)) != 0)
                {
                    return DecodeStatus.Undefined;
                }

                byte first = code[n++];
                byte last = first;
                map = 1;
                rex = (byte)((~first >> 5) & 4);
                if (op == 0xc4)
                {
                    if (n >= limit)
                    {
                        return shortStatus;
                    }

                    last = code[n++];
                    map = first & 31;
                    rex = (byte)(((~first >> 5) & 7) | ((last >> 4) & 8));
                    if (map is 0 or > 3)
                    {
                        return DecodeStatus.Undefined;
                    }
                }

                vvvv = (~last >> 3) & 15;
                if (codeSize != 8)
                {
                    rex &= 8;
                    vvvv &= 7;
                }

                flags |= InstructionFlags.Vex | (InstructionFlags)((last & 4) << 5);
                flags |= (last & 3) switch
                {
                    1 => InstructionFlags.OperandSize,
                    2 => InstructionFlags.Rep,
                    3 => InstructionFlags.Repne,
                    _ => InstructionFlags.None,
                };
                if (n >= limit)
                {
                    return shortStatus;
                }

                op = code[n++];
            }
        }

        OpcodeShape shape = map switch
        {
            0 => OpcodeShapes.OneByte[op],
            1 => OpcodeShapes.TwoByte[op],
            2 => OpcodeShape.ModRm,
            _ => OpcodeShape.ModRm | OpcodeShape.Immediate8,
        };
        if (codeSize == 8 && (shape & OpcodeShape.Legacy) != 0)
        {
            return DecodeStatus.Undefined;
        }

        int operandSize = OperandSize(codeSize, flags, rex, shape);
        int addressSize = (flags & InstructionFlags.AddressSize) == 0 ? codeSize : codeSize == 4 ? 2 : 4;
        i.Opcode = (ushort)((map << 8) | op);
        i.Rex = rex;
        i.Vvvv = (byte)vvvv;
        i.AddressSize = (byte)addressSize;
        i.Base = ProcessorContext.ZeroRegister;
        i.Index = ProcessorContext.ZeroRegister;
        if ((shape & OpcodeShape.ModRm) != 0)
        {
            if (n >= limit)
            {
                return shortStatus;
            }

            byte modRm = code[n++];
            i.ModRm = modRm;
            flags |= InstructionFlags.ModRm;
            i.Reg = (byte)(((modRm >> 3) & 7) | ((rex & 4) << 1));
            i.Rm = (byte)((modRm & 7) | ((rex & 1) << 3));

            // MOV to and from control and debug registers takes ModRM.mod as 3 whatever it says.
            bool registerOnly = map == 1 && op is >= 0x20 and <= 0x23;
            if (modRm < 0xc0 && !registerOnly)
            {
                flags |= InstructionFlags.Memory;
                bool vsib = map == 2 && op is >= 0x90 and <= 0x93 && (flags & InstructionFlags.Vex) != 0;
                int used = addressSize == 2 ? Address16(code + n, limit - n, ref i, ref segment) : Address(code + n, limit - n, codeSize, vsib, ref i, ref flags, ref segment);
                if (used < 0)
                {
                    return shortStatus;
                }

                n += used;
            }
        }
        else if ((shape & OpcodeShape.Register) != 0)
        {
            i.Rm = (byte)((op & 7) | ((rex & 1) << 3));
        }

        int size = ImmediateSize(shape, map, op, i.ModRm, operandSize, addressSize);
        if (n + size > limit)
        {
            return shortStatus;
        }

        if (size != 0)
        {
            ReadImmediate(code + n, size, map, op, ref i);
            n += size;
        }

        i.Segment = (byte)(segment < 0 ? Memory.SegmentRegister.Ds : segment);
        i.OperandSize = (byte)operandSize;
        i.Length = (byte)n;
        i.Flags = flags;
        i.Reg8 = ByteRegister(i.Reg, rex);
        i.Rm8 = ByteRegister(i.Rm, rex);
        return DecodeStatus.Done;
    }

    private static int OperandSize(int codeSize, InstructionFlags flags, byte rex, OpcodeShape shape)
    {
        bool prefix = (flags & InstructionFlags.OperandSize) != 0;
        if (codeSize == 8)
        {
            if ((shape & OpcodeShape.Branch) != 0)
            {
                return 8;
            }

            return (rex & 8) != 0 ? 8 : prefix ? 2 : (shape & OpcodeShape.Stack) != 0 ? 8 : 4;
        }

        return prefix == (codeSize == 4) ? 2 : 4;
    }

    private static byte ByteRegister(byte register, byte rex)
    {
        return (byte)(rex == 0 && register is >= 4 and < 8 ? ((register - 4) * 8) + 1 : register * 8);
    }

    private static int Address(byte* p, int available, int codeSize, bool vsib, ref Instruction i, ref InstructionFlags flags, ref int segment)
    {
        int mod = i.ModRm >> 6;
        int rm = i.ModRm & 7;
        int n = 0;
        int width = mod == 1 ? 1 : mod == 2 ? 4 : 0;
        if (rm == 4)
        {
            if (available < 1)
            {
                return -1;
            }

            byte sib = p[n++];
            int index = ((sib >> 3) & 7) | ((i.Rex & 2) << 2);
            if (index != 4 || vsib)
            {
                i.Index = (byte)index;
                i.Scale = (byte)(sib >> 6);
            }

            rm = sib & 7;
            if (rm == 5 && mod == 0)
            {
                width = 4;
                rm = -1;
            }
        }
        else if (rm == 5 && mod == 0)
        {
            width = 4;
            rm = -1;
            if (codeSize == 8)
            {
                flags |= InstructionFlags.RipRelative;
            }
        }

        if (rm >= 0)
        {
            i.Base = (byte)(rm | ((i.Rex & 1) << 3));
            if (segment < 0 && (i.Base is 4 or 5))
            {
                segment = Memory.SegmentRegister.Ss;
            }
        }

        if (n + width > available)
        {
            return -1;
        }

        i.Displacement = width == 1 ? (sbyte)p[n] : width == 4 ? Unsafe.ReadUnaligned<int>(p + n) : 0;
        return n + width;
    }

    private static int Address16(byte* p, int available, ref Instruction i, ref int segment)
    {
        int mod = i.ModRm >> 6;
        int rm = i.ModRm & 7;
        int width = mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0;
        if (available < width)
        {
            return -1;
        }

        if (mod == 0 && rm == 6)
        {
            i.Displacement = Unsafe.ReadUnaligned<short>(p);
            return 2;
        }

        // BX+SI, BX+DI, BP+SI, BP+DI, SI, DI, BP, BX
        const byte Bx = 3;
        const byte Bp = 5;
        const byte Si = 6;
        const byte Di = 7;
        i.Base = rm switch { 0 or 1 or 7 => Bx, 2 or 3 or 6 => Bp, 4 => Si, _ => Di };
        if (rm < 4)
        {
            i.Index = (rm & 1) == 0 ? Si : Di;
        }

        if (i.Base == Bp && segment < 0)
        {
            segment = Memory.SegmentRegister.Ss;
        }

        i.Displacement = width == 1 && mod == 1 ? (sbyte)*p : mod == 2 ? Unsafe.ReadUnaligned<short>(p) : 0;
        return mod == 0 ? 0 : width;
    }

    private static int ImmediateSize(OpcodeShape shape, int map, byte op, byte modRm, int operandSize, int addressSize)
    {
        if ((shape & OpcodeShape.Immediate8) != 0)
        {
            return 1;
        }

        int word = operandSize == 2 ? 2 : 4;
        if ((shape & OpcodeShape.ImmediateZ) != 0)
        {
            return word;
        }

        if ((shape & OpcodeShape.Other) == 0 || map != 0)
        {
            return 0;
        }

        return op switch
        {
            0x9a or 0xea => word + 2,
            >= 0xa0 and <= 0xa3 => addressSize,
            >= 0xb8 and <= 0xbf => operandSize,
            0xc2 or 0xca => 2,
            0xc8 => 3,
            0xf6 => (modRm & 0x30) == 0 ? 1 : 0,
            0xf7 => (modRm & 0x30) == 0 ? word : 0,
            _ => 0,
        };
    }

    private static void ReadImmediate(byte* p, int size, int map, byte op, ref Instruction i)
    {
        if (map == 0 && (op is 0x9a or 0xea))
        {
            i.Immediate = size == 4 ? Unsafe.ReadUnaligned<ushort>(p) : Unsafe.ReadUnaligned<uint>(p);
            i.Immediate2 = Unsafe.ReadUnaligned<ushort>(p + size - 2);
            return;
        }

        if (map == 0 && op == 0xc8)
        {
            i.Immediate = Unsafe.ReadUnaligned<ushort>(p);
            i.Immediate2 = p[2];
            return;
        }

        bool unsigned = map == 0 && (op is (>= 0xa0 and <= 0xa3) or 0xc2 or 0xca);
        i.Immediate = size switch
        {
            1 => (sbyte)*p,
            2 => unsigned ? Unsafe.ReadUnaligned<ushort>(p) : Unsafe.ReadUnaligned<short>(p),
            4 => unsigned ? Unsafe.ReadUnaligned<uint>(p) : Unsafe.ReadUnaligned<int>(p),
            _ => Unsafe.ReadUnaligned<long>(p),
        };
    }
}
