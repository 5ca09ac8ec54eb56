using System.Buffers.Binary;
using Iced.Intel;
using Lamina.SoftCpu.Tests.Fpu;

namespace Lamina.Verify.Legacy;

/// <summary>Segments of every kind, and operands that are mostly inside them, at their ends, and sometimes beyond.</summary>
internal sealed unsafe partial class LegacyCaseGenerator
{
    private const uint FlatData = 0xc0f3;
    private const uint FlatCode = 0xc0fb;
    private const uint RealData = 0x93;
    private const uint RealCode = 0x9b;
    private const uint VirtualSegment = 0xf3;
    private const int Sp = 4;
    private static readonly uint[] Unmapped = [0, 8, 0xfff0, (uint)Arena.Start + 0x1ff8, (uint)Arena.Start + 0x4000];

    // Types: data, read-only data, expand-down data, readable code, code; accessed, DPL 3, present.
    private static readonly uint[] Kinds = [0xf3, 0xf3, 0xf3, 0xf3, 0xf3, 0xf3, 0xf3, 0xf1, 0xf7, 0xf7, 0xfb, 0xf9];

    private void FillSegments(ref CaseRandom random, TestCase test)
    {
        const uint narrow = 0x4000;
        bool flat = random.OneIn(2);
        for (int n = 0; n < SegmentValues.Count; n++)
        {
            uint attributes = n == SegmentValues.Cs ? FlatCode : FlatData;
            uint start = 0;
            uint limit = uint.MaxValue;
            if (!flat && random.OneIn(8) && n is not (SegmentValues.Cs or SegmentValues.Ss))
            {
                attributes = SegmentValue.Unusable;
                limit = 0;
            }
            else if (!flat)
            {
                uint kind = n == SegmentValues.Cs ? 0xfbu : n == SegmentValues.Ss ? random.OneIn(6) ? 0xf7u : 0xf3u : Kinds[random.Next(Kinds.Length)];
                start = random.Next(8) switch
                {
                    0 => 0,
                    1 => (uint)random.Next(),
                    _ => (uint)Arena.Start + (uint)random.Next(0x2000),
                };
                limit = random.Next(4) switch { 0 => uint.MaxValue, 1 => 0xffff, _ => (uint)random.Next(0x6000) };
                attributes = 0xc000 | kind;
                if (kind == 0xf7)
                {
                    limit = (uint)random.Next(0x3000);
                }
            }

            attributes ^= random.OneIn(3) && attributes != SegmentValue.Unusable && n != SegmentValues.Cs ? narrow : 0;
            ushort selector = attributes == SegmentValue.Unusable ? (ushort)0 : DescriptorList.Own(n);
            test.Segments[n] = new SegmentValue(selector, start, limit, attributes);
        }

        ref SegmentValue code = ref test.Segments[SegmentValues.Cs];
        uint wide = _bits == 32 ? narrow : 0;
        uint offset = _bits == 16 && !random.OneIn(4) ? (uint)random.Next(0xfff0) : (uint)random.Next();
        code = code.IsFlat && !random.OneIn(2)
            ? code with { Attributes = 0x80fb | wide }
            : code with { Base = (uint)Arena.Slot - offset, Limit = random.OneIn(3) ? offset + 15 + (uint)random.Next(0x100) : uint.MaxValue, Attributes = 0x80fb | wide };
        if (code.Limit < offset)
        {
            code = code with { Limit = uint.MaxValue };
        }
    }

    // Segments as real and virtual-8086 mode have them, but with the hidden base where the arena is: protected mode leaves such to real mode.
    private static void FillParagraphs(ref CaseRandom random, TestCase test)
    {
        bool v86 = test.Mode == CodeMode.V86;
        for (int n = 0; n < SegmentValues.Count; n++)
        {
            uint attributes = v86 ? VirtualSegment : n == SegmentValues.Cs ? RealCode : RealData;
            uint limit = !v86 && n != SegmentValues.Cs && random.OneIn(8) ? uint.MaxValue : 0xffff;
            uint start = (uint)Arena.Start + (uint)random.Next(0x2000);
            start = n == SegmentValues.Cs ? (uint)Arena.Slot - (uint)random.Next(0xffe0) : start;
            test.Segments[n] = new SegmentValue((ushort)random.Next(), start, limit, attributes);
        }
    }

    // Software interrupts of virtual-8086 mode are #GP unless IOPL is 3: then they leave for CPL 0.
    private static void FillModeFlags(ref CaseRandom random, NativeState* s, TestCase test, in Instruction i)
    {
        const ulong virtual8086 = 0x2_0000;
        const int levels = 4;
        bool v86 = test.Mode == CodeMode.V86;
        int level = random.Next(v86 && i.Mnemonic == Mnemonic.Int ? levels - 1 : levels);
        s->Flags |= ((ulong)level << 12) | (v86 ? virtual8086 : 0);
    }

    private static uint Target(ref CaseRandom random, int room)
    {
        int kind = random.Next(64);
        return kind switch
        {
            < 30 => (uint)Arena.Data + (uint)(room + random.Next(Arena.DataSize - (2 * room))) & ~31u,
            < 48 => (uint)Arena.Data + (uint)(room + random.Next(Arena.DataSize - (2 * room))),
            < 52 => (uint)Arena.Data + Arena.PageSize - (uint)random.Next(40),
            < 55 => (uint)Arena.Data + Arena.DataSize - (uint)random.Next(40),
            < 57 => (uint)Arena.Data - (uint)random.Next(40),
            < 60 => (uint)Arena.ReadOnly + (uint)random.Next(Arena.PageSize - 64),
            _ => Unmapped[random.Next(Unmapped.Length)],
        };
    }

    // An offset of some linear address, with the segment moved there if addresses have 16 bits, and its limit sometimes just there.
    private static uint Place(ref CaseRandom random, TestCase test, int segment, int addressSize, int size, int room)
    {
        ref SegmentValue s = ref test.Segments[segment];
        bool paragraphs = test.Mode != CodeMode.Protected;
        uint target = Target(ref random, room);
        if (paragraphs && target < Arena.Start)
        {
            // The guest's own tables are there in real mode.
            target = (uint)Arena.Data;
        }

        uint offset = target - s.Base;
        if ((addressSize == 2 || paragraphs) && offset > 0xffff && !random.OneIn(16))
        {
            offset = random.OneIn(8) ? 0xffff - (uint)random.Next(8) : (uint)random.Next(0x1_0000);
            s = segment == SegmentValues.Cs ? s : s with { Base = target - offset };
        }

        if (random.OneIn(6) && test.Mode != CodeMode.V86 && segment != SegmentValues.Cs)
        {
            bool down = (s.Attributes & (SegmentValue.Code | SegmentValue.ExpandDown)) == SegmentValue.ExpandDown;
            int edge = random.Next(5) - 2;
            s = s with { Limit = down ? offset - 1 + (uint)edge : offset + (uint)(size - 1 + edge) };
        }

        return addressSize == 2 ? (ushort)offset : offset;
    }

    private void Aim(ref CaseRandom random, TestCase test, NativeState* s, in Instruction i)
    {
        const int si = 6;
        const int di = 7;
        int stack = (test.Segments[SegmentValues.Ss].Attributes & SegmentValue.Big) != 0 ? 4 : 2;
        SetLow(s, Sp, Place(ref random, test, SegmentValues.Ss, stack, 4, 128), stack);
        if (i.IsStringInstruction)
        {
            (int size, int address) = ModelProcessor.StringSizes(i);
            SetLow(s, si, Place(ref random, test, ModelProcessor.Segment(i) is >= 0 and < SegmentValues.Count and var from ? from : SegmentValues.Ds, address, size, 512), address);
            SetLow(s, di, Place(ref random, test, SegmentValues.Es, address, size, 512), address);
            SetLow(s, 1, random.OneIn(20) ? 0 : (uint)random.Next(40), address);
            return;
        }

        switch (i.Mnemonic)
        {
            case Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu:
                int width = i.Op0Kind == OpKind.MemorySegDI ? 2 : 4;
                SetLow(s, di, Place(ref random, test, ModelProcessor.Segment(i), width, 16, 64), width);
                return;
            case Mnemonic.Enter or Mnemonic.Leave:
                SetLow(s, 5, Place(ref random, test, SegmentValues.Ss, stack, 4, 512), stack);
                SetLow(s, Sp, Place(ref random, test, SegmentValues.Ss, stack, 4, 2048), stack);
                break;
            case Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne or Mnemonic.Jcxz or Mnemonic.Jecxz:
                s->General[1] = random.OneIn(3) ? ((uint)random.Next() & 0xffff_0000) | (uint)random.Next(3) : s->General[1];
                break;
            case Mnemonic.Ret:
                PutWord(ref random, test, test.Segments[SegmentValues.Ss].Base + (uint)(stack == 2 ? (ushort)s->General[Sp] : s->General[Sp]), NearCode(ref random, test));
                break;
            case Mnemonic.Pop:
                PutWord(ref random, test, test.Segments[SegmentValues.Ss].Base + (uint)(stack == 2 ? (ushort)s->General[Sp] : s->General[Sp]), SomeSelector(ref random));
                break;
        }

        bool segment = i.Op0Register is >= Register.ES and <= Register.GS;
        if (segment && i.Op1Kind == OpKind.Register)
        {
            int number = i.Op1Register.GetFullRegister() - Register.RAX;
            s->General[number] = (s->General[number] & 0xffff_0000) | SomeSelector(ref random);
        }
        else if (i.FlowControl != FlowControl.Next && i.Op0Kind == OpKind.Register && i.Op0Register.IsGPR())
        {
            s->General[i.Op0Register.GetFullRegister() - Register.RAX] = NearCode(ref random, test);
        }

        if (i.Op0Kind == OpKind.Memory || i.Op1Kind == OpKind.Memory || i.Op2Kind == OpKind.Memory)
        {
            AimMemory(ref random, test, s, i);
        }
    }

    private void AimMemory(ref CaseRandom random, TestCase test, NativeState* s, in Instruction i)
    {
        if (i.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && i.Op1Kind == OpKind.Register)
        {
            s->General[i.Op1Register.GetFullRegister() - Register.RAX] = (uint)(random.Next(400) - 200);
        }

        int number = ModelProcessor.Segment(i);
        int address = ModelProcessor.AddressSize(i);
        if (i.IsVsib)
        {
            FillIndices(ref random, s, i);
        }

        if ((i.IsVsib || IsMasked(i)) && test.Mode == CodeMode.Protected && number != SegmentValues.Cs)
        {
            test.Segments[number] = new SegmentValue(DescriptorList.Own(number), 0, uint.MaxValue, FlatData);
        }

        int size = Math.Max(i.MemorySize.GetSize(), 1);
        uint offset = Place(ref random, test, number, address, size, 64);
        if (i.Mnemonic is Mnemonic.Lds or Mnemonic.Les or Mnemonic.Lss or Mnemonic.Lfs or Mnemonic.Lgs)
        {
            PutWord(ref random, test, test.Segments[number].Base + offset + (uint)i.Op0Register.GetSize(), SomeSelector(ref random));
        }
        else if (i.Op0Register is >= Register.ES and <= Register.GS)
        {
            PutWord(ref random, test, test.Segments[number].Base + offset, SomeSelector(ref random));
        }
        else if (i.FlowControl != FlowControl.Next)
        {
            PutWord(ref random, test, test.Segments[number].Base + offset, NearCode(ref random, test));
        }

        uint rest = offset - (uint)i.MemoryDisplacement64;
        Register index = i.IsVsib ? Register.None : i.MemoryIndex;
        if (index == Register.AL)
        {
            SetLow(s, 3, rest - (byte)s->General[0], address);
        }
        else if (i.MemoryBase == Register.None && index == Register.None)
        {
            ConstantOffsets offsets = _decoder.GetConstantOffsets(i);
            if (offsets.DisplacementSize == 4)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(offsets.DisplacementOffset), offset);
            }
            else if (offsets.DisplacementSize == 2)
            {
                BinaryPrimitives.WriteUInt16LittleEndian(_buffer.AsSpan(offsets.DisplacementOffset), (ushort)offset);
            }
        }
        else if (i.MemoryBase != Register.None && i.MemoryBase != index)
        {
            uint product = 0;
            if (index != Register.None)
            {
                int at = index.GetFullRegister() - Register.RAX;
                s->General[at] = random.OneIn(2) ? (uint)random.Next(64) : s->General[at];
                product = (uint)s->General[at] * (uint)i.MemoryIndexScale;
            }

            SetLow(s, i.MemoryBase.GetFullRegister() - Register.RAX, rest - product, address);
        }
        else
        {
            uint scale = (uint)i.MemoryIndexScale + (i.MemoryBase != Register.None ? 1u : 0);
            SetLow(s, index.GetFullRegister() - Register.RAX, rest / scale, address);
        }
    }

    private static void FillIndices(ref CaseRandom random, NativeState* s, in Instruction i)
    {
        int vector = i.MemoryIndex >= Register.YMM0 ? i.MemoryIndex - Register.YMM0 : i.MemoryIndex - Register.XMM0;
        for (int n = 0; n < 8; n++)
        {
            int value = random.Next(256) - 128;
            if (i.IsVsib32)
            {
                *(int*)(s->Vectors + (vector * 32) + (n * 4)) = value;
            }
            else if (n < 4)
            {
                *(long*)(s->Vectors + (vector * 32) + (n * 8)) = value;
            }
        }
    }

    private static bool IsMasked(in Instruction i) => i.Mnemonic is Mnemonic.Vmaskmovps or Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovd or Mnemonic.Vpmaskmovq;

    // Of the local table, which hosts have too, as often as of the global one.
    private static ushort SomeSelector(ref CaseRandom random)
    {
        const int local = 4;
        bool own = random.OneIn(2);
        int count = (own ? DescriptorList.LocalCount : DescriptorList.All.Length) + (random.OneIn(8) ? 8 : 0);
        return (ushort)((random.Next(count) << 3) | (own ? local : 0) | (random.OneIn(3) ? random.Next(8) : 3));
    }

    // Offsets near the limit of the code.
    private static uint NearCode(ref CaseRandom random, TestCase test) =>
        random.OneIn(3) ? (uint)random.Next() : test.Segments[SegmentValues.Cs].Limit - 8 + (uint)random.Next(16);

    private static void PutWord(ref CaseRandom random, TestCase test, uint linear, uint value)
    {
        if (linear - (uint)Arena.Data <= Arena.DataSize - 4 && !random.OneIn(16))
        {
            Span<byte> at = test.Memory.AsSpan((int)(linear - (uint)Arena.Data));
            if (value > 0xffff)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(at, value);
            }
            else
            {
                BinaryPrimitives.WriteUInt16LittleEndian(at, (ushort)value);
            }
        }
    }

    // Leaves the upper half of a register that has no part in a 16-bit address.
    private static void SetLow(NativeState* s, int register, uint value, int size) =>
        s->General[register] = size == 2 ? (s->General[register] & 0xffff_0000) | (value & 0xffff) : value;
}
