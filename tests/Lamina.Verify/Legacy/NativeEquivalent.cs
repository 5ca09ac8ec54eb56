using Iced.Intel;

namespace Lamina.Verify.Legacy;

/// <summary>
/// The 64-bit instruction that does what one of 16- or 32-bit code does. Its memory operand, if any, is at a linear address given as such, so that it needs no register and no REX prefix.
/// </summary>
internal sealed class NativeEquivalent
{
    private const string GroupOf82 = "_82";
    private readonly CodeBytes _bytes = new();
    private readonly Encoder _encoder;

    public NativeEquivalent() => _encoder = Encoder.Create(64, _bytes);

    /// <summary>Whether 64-bit code has the instruction's operation under the same name, or another.</summary>
    public static bool Exists(in Instruction i) => Find(i.Code) is { } code && code.ToOpCode().Mode64;

    /// <summary>Writes it into <paramref name="target"/>.</summary>
    public void Write(in Instruction i, uint linear, TestCase target)
    {
        Instruction n = i;
        n.CodeSize = CodeSize.Code64;
        n.Code = Find(i.Code) ?? throw new InvalidOperationException($"{i.Code} has no equivalent.");
        n.SegmentPrefix = Register.None;
        for (int operand = 0; operand < i.OpCount; operand++)
        {
            switch (i.GetOpKind(operand))
            {
                case OpKind.Memory when i.Mnemonic == Mnemonic.Xlatb:
                    n.MemoryBase = Register.EBX;
                    n.MemoryDisplSize = 0;
                    break;
                case OpKind.Memory:
                    n.MemoryBase = Register.None;
                    n.MemoryIndex = i.IsVsib ? i.MemoryIndex : Register.None;
                    n.MemoryDisplSize = 4;
                    n.MemoryDisplacement64 = linear;
                    break;
                case OpKind.MemorySegDI:
                    n.SetOpKind(operand, OpKind.MemorySegEDI);
                    break;
            }
        }

        _bytes.Clear();
        if (!_encoder.TryEncode(n, Arena.Slot, out _, out string? error))
        {
            throw new InvalidOperationException($"{i.Code} ({i}): {error}");
        }

        _bytes.CopyTo(target);
    }

    private static readonly Code[] Others = MakeOthers();

    // Instructions that 64-bit code has under another opcode.
    private static Code? Find(Code code) => Others[(int)code] is Code.INVALID ? null : Others[(int)code];

    private static Code[] MakeOthers()
    {
        Code[] all = new Code[(int)Enum.GetValues<Code>().Max() + 1];
        foreach (Code code in Enum.GetValues<Code>())
        {
            string name = code.ToString();
            all[(int)code] = code switch
            {
                Code.Inc_r16 => Code.Inc_rm16,
                Code.Inc_r32 => Code.Inc_rm32,
                Code.Dec_r16 => Code.Dec_rm16,
                Code.Dec_r32 => Code.Dec_rm32,
                Code.Mov_AL_moffs8 => Code.Mov_r8_rm8,
                Code.Mov_AX_moffs16 => Code.Mov_r16_rm16,
                Code.Mov_EAX_moffs32 => Code.Mov_r32_rm32,
                Code.Mov_moffs8_AL => Code.Mov_rm8_r8,
                Code.Mov_moffs16_AX => Code.Mov_rm16_r16,
                Code.Mov_moffs32_EAX => Code.Mov_rm32_r32,
                _ when name.EndsWith(GroupOf82, StringComparison.Ordinal) => Enum.Parse<Code>(name[..^GroupOf82.Length]),
                _ => code,
            };
        }

        return all;
    }

    private sealed class CodeBytes : CodeWriter
    {
        private readonly byte[] _bytes = new byte[32];
        private int _length;

        public override void WriteByte(byte value) => _bytes[_length++] = value;

        public void Clear() => _length = 0;

        public void CopyTo(TestCase target)
        {
            target.Length = _length;
            target.Lengths.Clear();
            _bytes.AsSpan(0, 16).CopyTo(target.Code);
            target.Code.AsSpan(_length).Clear();
        }
    }
}
