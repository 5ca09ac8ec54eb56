using System.Buffers.Binary;
using Iced.Intel;
using Lamina.SoftCpu.Tests.Fpu;

namespace Lamina.Verify.Legacy;

/// <summary>Makes cases of 16- or 32-bit code: the instruction's bytes.</summary>
internal sealed unsafe partial class LegacyCaseGenerator : ICaseSource
{
    private const int Attempts = 50;
    private static readonly byte[] SegmentPrefixes = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
    private readonly List<List<Template>> _instructions;
    private readonly OperandPool _pool = new();
    private readonly byte[] _buffer = new byte[32];
    private readonly int _bits;
    private readonly CodeMode _mode;
    private readonly ByteArrayReader _reader;
    private readonly Decoder _decoder;

    public LegacyCaseGenerator(List<List<Template>> instructions, int bits, CodeMode mode = CodeMode.Protected)
    {
        _instructions = instructions;
        _bits = bits;
        _mode = mode;
        _reader = new ByteArrayReader(_buffer);
        _decoder = Decoder.Create(bits, _reader);
    }

    public Instruction Make(ulong seed, ulong number, TestCase test)
    {
        CaseRandom random = new(seed, number);
        for (int attempt = 0; ; attempt++)
        {
            bool garbage = random.OneIn(40);
            if (garbage)
            {
                CaseGenerator.PutGarbage(ref random, _buffer);
            }
            else
            {
                List<Template> templates = _instructions[random.Next(_instructions.Count)];
                Put(ref random, templates[random.Next(templates.Count)]);
            }

            Instruction i = Decode();
            bool known = i.IsInvalid ? garbage && _decoder.LastError == DecoderError.InvalidInstruction : InstructionList.IsCompared(i) && !LeavesVirtual8086(i);
            if (!known)
            {
                if (attempt < Attempts)
                {
                    continue;
                }

                _buffer.AsSpan().Fill(0x90);
                i = Decode();
            }

            test.Bits = _bits;
            test.Mode = _mode;
            FillState(ref random, test, i);
            i = Decode();
            test.Length = i.IsInvalid ? TestCase.MaximumLength : i.Length;
            test.Lengths.Clear();
            _buffer.AsSpan(0, 16).CopyTo(test.Code);
            test.Code.AsSpan(test.Length).Clear();
            return i;
        }
    }

    public Instruction Decode(ReadOnlySpan<byte> code)
    {
        _buffer.AsSpan().Fill(0x90);
        code.CopyTo(_buffer);
        return Decode();
    }

    // What goes through a gate to CPL 0 whatever IOPL is.
    private bool LeavesVirtual8086(in Instruction i) => _mode == CodeMode.V86 && i.Mnemonic is Mnemonic.Int3 or Mnemonic.Int1 or Mnemonic.Into;

    // At address 0: targets of jumps are distances.
    private Instruction Decode()
    {
        _reader.Position = 0;
        _decoder.IP = 0;
        _decoder.Decode(out Instruction i);
        return i;
    }

    private void Put(ref CaseRandom random, in Template t)
    {
        const byte operandSize = 0x66;
        const byte addressSize = 0x67;
        const byte @lock = 0xf0;
        Span<byte> b = _buffer;
        int length = 0;
        if (random.OneIn(4))
        {
            b[length++] = SegmentPrefixes[random.Next(SegmentPrefixes.Length)];
        }

        if (t.IsGather ? _bits == 16 : random.OneIn(3))
        {
            b[length++] = addressSize;
        }

        if (random.OneIn(24))
        {
            b[length++] = @lock;
        }

        if (t.Vex)
        {
            // The bits that extend registers are ones, or it would be LES, LDS or BOUND; those of the third byte do not count.
            int pp = t.Prefix switch { operandSize => 1, 0xf3 => 2, 0xf2 => 3, _ => 0 };
            int register = random.OneIn(6) ? 15 : 8 + random.Next(8);
            int last = (register << 3) | (t.Long ? 4 : 0) | pp;
            if (t.Map == 1 && !t.W && random.OneIn(2))
            {
                b[length++] = 0xc5;
                b[length++] = (byte)(0x80 | last);
            }
            else
            {
                b[length++] = 0xc4;
                b[length++] = (byte)(0xe0 | t.Map);
                b[length++] = (byte)((t.W ? 0x80 : 0) | last);
            }
        }
        else
        {
            if (t.Prefix is 0xf2 or 0xf3 && random.OneIn(8))
            {
                b[length++] = operandSize;
            }

            if (t.Prefix != 0)
            {
                b[length++] = t.Prefix;
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
        int rm = t.Rm >= 0 ? t.Rm : t.IsGather ? 4 : random.Next(8);
        b[length++] = (byte)((t.Memory ? random.Next(3) << 6 : 0xc0) | (t.Digit << 3) | rm);
        BinaryPrimitives.WriteUInt64LittleEndian(b[length..], random.OneIn(3) ? OperandPool.Corner(ref random) ^ (random.Next() & 0xff) : random.Next());
        BinaryPrimitives.WriteUInt64LittleEndian(b[(length + 8)..], random.Next());
    }

    private void FillState(ref CaseRandom random, TestCase test, in Instruction i)
    {
        _pool.Fill(ref random, test);
        fixed (NativeState* s = &test.State)
        {
            for (int n = 0; n < 8; n++)
            {
                s->General[n] = (uint)s->General[n];
            }

            if (_mode == CodeMode.Protected)
            {
                FillSegments(ref random, test);
            }
            else
            {
                FillParagraphs(ref random, test);
                FillModeFlags(ref random, s, test, i);
            }

            if (!i.IsInvalid)
            {
                Aim(ref random, test, s, i);
            }
        }
    }
}
