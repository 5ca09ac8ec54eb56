using System.Buffers.Binary;
using Iced.Intel;
using Lamina.SoftCpu.Tests.Fpu;

namespace Lamina.Verify;

/// <summary>Makes cases: each instruction as often as any other, with operands that reach the corners, and addresses that sometimes fault.</summary>
internal sealed unsafe partial class CaseGenerator : ICaseSource
{
    private const int Rsp = 4;
    private const int Attempts = 50;
    private static readonly byte[] SegmentPrefixes = [0x26, 0x2e, 0x36, 0x3e];
    private static readonly ulong[] Unmapped = [0, 8, 0xffff_8000_0000_0000, 0x8000_0000_0000, 0xffff_7fff_ffff_fff8, 0xffff_ffff_ffff_fff0, 0x7fff_ffff_f000, Arena.Start + 0x1ff8, Arena.Start + 0x4000];
    private readonly List<List<Template>> _instructions;
    private readonly OperandPool _pool = new();
    private readonly byte[] _buffer = new byte[32];
    private readonly ByteArrayReader _reader;
    private readonly Decoder _decoder;

    public CaseGenerator(List<List<Template>> instructions)
    {
        _instructions = instructions;
        _reader = new ByteArrayReader(_buffer);
        _decoder = Decoder.Create(64, _reader);
    }

    /// <summary>Makes a case; the instruction as the second decoder sees it, or an invalid one.</summary>
    public Instruction Make(ulong seed, ulong number, TestCase test)
    {
        CaseRandom random = new(seed, number);
        for (int attempt = 0; ; attempt++)
        {
            bool garbage = random.OneIn(40);
            if (garbage)
            {
                PutGarbage(ref random, _buffer);
            }
            else
            {
                List<Template> templates = _instructions[random.Next(_instructions.Count)];
                Put(ref random, templates[random.Next(templates.Count)]);
            }

            Instruction i = Decode();
            bool known = i.IsInvalid ? garbage && _decoder.LastError == DecoderError.InvalidInstruction : InstructionList.IsCompared(i);
            if (!known || i.MemorySegment is Register.FS or Register.GS || i.SegmentPrefix is Register.FS or Register.GS)
            {
                if (attempt < Attempts)
                {
                    continue;
                }

                _buffer.AsSpan().Fill(0x90);
                i = Decode();
            }

            if (!FillState(ref random, test, ref i))
            {
                continue;
            }

            test.Bits = 64;
            test.LoadsSegments = LoadsSegment(i);
            test.Length = i.IsInvalid ? TestCase.MaximumLength : i.Length;
            test.Lengths.Clear();
            _buffer.AsSpan(0, 16).CopyTo(test.Code);
            test.Code.AsSpan(test.Length).Clear();
            return i;
        }
    }

    /// <summary>Makes an instruction alone, without registers and memory for it.</summary>
    /// <returns>Whether it is one that is compared.</returns>
    public bool TryMake(ref CaseRandom random, out Instruction i, out ReadOnlySpan<byte> code)
    {
        List<Template> templates = _instructions[random.Next(_instructions.Count)];
        Put(ref random, templates[random.Next(templates.Count)]);
        i = Decode();
        code = _buffer.AsSpan(0, i.Length);
        return !i.IsInvalid && InstructionList.IsCompared(i) && i.MemorySegment is not (Register.FS or Register.GS) && i.SegmentPrefix is not (Register.FS or Register.GS);
    }

    /// <summary>Fills a case's registers, flags and memory.</summary>
    public void Fill(ref CaseRandom random, TestCase test) => _pool.Fill(ref random, test);

    /// <summary>The instruction in some bytes.</summary>
    public Instruction Decode(ReadOnlySpan<byte> code)
    {
        _buffer.AsSpan().Fill(0x90);
        code.CopyTo(_buffer);
        return Decode();
    }

    private Instruction Decode()
    {
        _reader.Position = 0;
        _decoder.IP = Arena.Slot;
        _decoder.Decode(out Instruction i);
        return i;
    }

    /// <summary>Writes bytes that are likely to be no instruction.</summary>
    public static void PutGarbage(ref CaseRandom random, Span<byte> b)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(b, random.Next());
        BinaryPrimitives.WriteUInt64LittleEndian(b[8..], random.Next());
        int length = 0;
        if (random.OneIn(2))
        {
            b[length++] = 0x0f;
            if (random.OneIn(2))
            {
                b[length++] = random.OneIn(2) ? (byte)0x38 : (byte)0x3a;
            }
        }
        else if (random.OneIn(2))
        {
            b[length++] = 0xc4;
            b[length++] = (byte)(0xe0 | (1 + random.Next(3)));
        }
    }

    private void Put(ref CaseRandom random, in Template t)
    {
        Span<byte> b = _buffer;
        int length = 0;
        int registers = random.OneIn(3) ? random.Next(8) : 0;
        if (random.OneIn(16))
        {
            b[length++] = SegmentPrefixes[random.Next(4)];
        }

        if (random.OneIn(24))
        {
            b[length++] = 0x67;
        }

        if (random.OneIn(24))
        {
            b[length++] = 0xf0;
        }

        bool gather = t.Vex && t.Map == 2 && t.Opcode is >= 0x90 and <= 0x93;
        if (t.Vex)
        {
            int pp = t.Prefix switch { 0x66 => 1, 0xf3 => 2, 0xf2 => 3, _ => 0 };
            int last = ((random.OneIn(6) ? 15 : random.Next(16)) << 3) | (t.Long ? 4 : 0) | pp;
            if (t.Map == 1 && !t.W && (registers & 3) == 0 && random.OneIn(2))
            {
                b[length++] = 0xc5;
                b[length++] = (byte)(((registers & 4) != 0 ? 0 : 0x80) | last);
            }
            else
            {
                b[length++] = 0xc4;
                b[length++] = (byte)(((~registers & 7) << 5) | t.Map);
                b[length++] = (byte)((t.W ? 0x80 : 0) | last);
            }
        }
        else
        {
            if (t.Prefix != 0)
            {
                b[length++] = t.Prefix;
            }

            if (t.W || registers != 0 || random.OneIn(8))
            {
                b[length++] = (byte)(0x40 | (t.W ? 8 : 0) | registers);
            }

            if (t.Map > 0)
            {
                b[length++] = 0x0f;
            }

            if (t.Map > 1)
            {
                b[length++] = (byte)(t.Map == 2 ? 0x38 : 0x3a);
            }
        }

        b[length++] = t.Opcode;
        int rm = t.Rm >= 0 ? t.Rm : gather ? 4 : random.Next(8);
        int digit = t.Digit;
        b[length++] = (byte)((t.Memory ? random.Next(3) << 6 : 0xc0) | (digit << 3) | rm);
        BinaryPrimitives.WriteUInt64LittleEndian(b[length..], random.OneIn(3) ? OperandPool.Corner(ref random) ^ (random.Next() & 0xff) : random.Next());
        BinaryPrimitives.WriteUInt64LittleEndian(b[(length + 8)..], random.Next());
    }

    private bool FillState(ref CaseRandom random, TestCase test, ref Instruction i)
    {
        _pool.Fill(ref random, test);
        fixed (NativeState* s = &test.State)
        {
            s->General[Rsp] = Target(ref random, 64);
            return i.IsInvalid || Aim(ref random, test, s, ref i);
        }
    }

    // An address, mostly of the data.
    private static ulong Target(ref CaseRandom random, int room)
    {
        int kind = random.Next(64);
        return kind switch
        {
            < 30 => Arena.Data + (ulong)(room + random.Next(Arena.DataSize - (2 * room))) & ~31UL,
            < 50 => Arena.Data + (ulong)(room + random.Next(Arena.DataSize - (2 * room))),
            < 54 => Arena.Data + Arena.PageSize - (ulong)random.Next(40),
            < 57 => Arena.Data + Arena.DataSize - (ulong)random.Next(40),
            < 58 => Arena.Data - (ulong)random.Next(40),
            < 61 => Arena.ReadOnly + (ulong)random.Next(Arena.PageSize - 64),
            _ => Unmapped[random.Next(Unmapped.Length)],
        };
    }

    // Has the operands of an instruction be where they are of use.
    private bool Aim(ref CaseRandom random, TestCase test, NativeState* s, ref Instruction i)
    {
        if (i.FlowControl != FlowControl.Next && !AimJump(ref random, s, ref i))
        {
            return false;
        }

        if (i.Mnemonic is Mnemonic.Popf or Mnemonic.Popfq)
        {
            return AimFlags(ref random, test, s);
        }

        if (i.IsStringInstruction)
        {
            s->General[6] = Target(ref random, 512);
            s->General[7] = Target(ref random, 512);
            s->General[1] = random.OneIn(20) ? 0 : (ulong)random.Next(40);
            return true;
        }

        if (i.Mnemonic is Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu)
        {
            s->General[7] = Target(ref random, 64);
            return true;
        }

        if (i.Mnemonic is Mnemonic.Enter)
        {
            s->General[5] = Target(ref random, 512);
            s->General[Rsp] = Target(ref random, 2048);
        }
        else if (i.Mnemonic is Mnemonic.Leave)
        {
            s->General[5] = Target(ref random, 64);
        }
        else if (i.Mnemonic is Mnemonic.Xlatb)
        {
            s->General[3] = Target(ref random, 256);
            return true;
        }

        test.LoadsSegments = LoadsSegment(i);
        if (test.LoadsSegments || i.Mnemonic is Mnemonic.Lar or Mnemonic.Lsl or Mnemonic.Verr or Mnemonic.Verw)
        {
            AimSelector(ref random, test, s, i);
        }

        if (i.MemoryBase == Register.None && i.MemoryIndex == Register.None && i.MemoryDisplSize == 0 || i.Op0Kind != OpKind.Memory && i.Op1Kind != OpKind.Memory && i.Op2Kind != OpKind.Memory)
        {
            return true;
        }

        if (StateLength(i) is var length and not 0)
        {
            return AimState(ref random, test, s, ref i, length);
        }

        ulong target = Target(ref random, 64);
        if (test.LoadsSegments)
        {
            PutSelector(ref random, test, target + (i.Mnemonic is Mnemonic.Mov ? 0 : (ulong)i.Op0Register.GetSize()));
        }

        if (i.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && i.Op1Kind == OpKind.Register)
        {
            int bits = i.Op1Register.GetFullRegister() - Register.RAX;
            s->General[bits] = (ulong)(random.Next(400) - 200);
        }

        return AimMemory(ref random, s, ref i, target);
    }

    private bool AimMemory(ref CaseRandom random, NativeState* s, ref Instruction i, ulong target)
    {
        bool vectorIndex = i.IsVsib;
        if (vectorIndex)
        {
            int index = (int)i.MemoryIndex & 15;
            int number = i.MemoryIndex >= Register.YMM0 ? i.MemoryIndex - Register.YMM0 : i.MemoryIndex - Register.XMM0;
            _ = index;
            for (int n = 0; n < 8; n++)
            {
                int value = random.Next(256) - 128;
                if (i.IsVsib32)
                {
                    *(int*)(s->Vectors + (number * 32) + (n * 4)) = value;
                }
                else if (n < 4)
                {
                    *(long*)(s->Vectors + (number * 32) + (n * 8)) = value;
                }
            }
        }

        if (i.IsIPRelativeMemoryOperand || i.MemoryBase == Register.None && (i.MemoryIndex == Register.None || vectorIndex))
        {
            ConstantOffsets offsets = _decoder.GetConstantOffsets(i);
            if (!offsets.HasDisplacement)
            {
                return true;
            }

            ulong displacement = i.IsIPRelativeMemoryOperand ? target - (Arena.Slot + (ulong)i.Length) : target;
            Span<byte> at = _buffer.AsSpan(offsets.DisplacementOffset);
            if (offsets.DisplacementSize == 8)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(at, displacement);
            }
            else if (offsets.DisplacementSize == 4)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(at, (uint)displacement);
            }

            i = Decode();
            return true;
        }

        ulong rest = target - i.MemoryDisplacement64;
        Register root = i.MemoryBase;
        Register index64 = vectorIndex ? Register.None : i.MemoryIndex;
        if (root != Register.None && root.GetFullRegister() != index64.GetFullRegister())
        {
            ulong product = 0;
            if (index64 != Register.None)
            {
                int number = index64.GetFullRegister() - Register.RAX;
                s->General[number] = random.OneIn(2) ? (ulong)random.Next(64) : s->General[number];
                product = s->General[number] * (ulong)i.MemoryIndexScale;
            }

            s->General[root.GetFullRegister() - Register.RAX] = rest - product;
        }
        else if (index64 != Register.None)
        {
            ulong scale = (ulong)i.MemoryIndexScale + (root != Register.None ? 1UL : 0);
            s->General[index64.GetFullRegister() - Register.RAX] = rest / scale;
        }

        return true;
    }

    // Jumps end where nothing is executed: at breakpoints in the code page, or where no code may be.
    private bool AimJump(ref CaseRandom random, NativeState* s, ref Instruction i)
    {
        const int Clearance = 64;
        if (i.Op0Kind is OpKind.NearBranch64)
        {
            // With an operand-size prefix processors differ (AMD APM volume 3, "CALL (Near)": 16 bits; Intel SDM volume 2: the prefix is ignored).
            ConstantOffsets offsets = _decoder.GetConstantOffsets(i);
            if (_buffer.AsSpan(0, i.Length).Contains((byte)0x66))
            {
                return false;
            }

            int distance = Clearance + random.Next(offsets.ImmediateSize == 1 ? 127 - Clearance : random.OneIn(8) ? 0x1000_0000 : 0x600);
            distance = random.OneIn(2) ? distance : -distance;
            if (offsets.ImmediateSize == 1)
            {
                _buffer[offsets.ImmediateOffset] = (byte)distance;
            }
            else
            {
                BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(offsets.ImmediateOffset), distance);
            }

            s->General[1] = random.OneIn(3) ? (ulong)random.Next(3) : s->General[1];
            i = Decode();
            return true;
        }

        if (i.FlowControl is FlowControl.Interrupt)
        {
            return AimInterrupt(ref random, ref i);
        }

        if (_buffer.AsSpan(0, i.Length).Contains((byte)0x66))
        {
            return false;
        }

        if (i.Op0Kind == OpKind.Register)
        {
            s->General[i.Op0Register.GetFullRegister() - Register.RAX] = random.OneIn(3) ? Target(ref random, 64) : Arena.Code + (ulong)random.Next(0x700);
        }

        return true;
    }
}
