using Iced.Intel;
using Lamina.SoftCpu.Decode;
using Decoder = Lamina.SoftCpu.Decode.Decoder;
using GuestInstruction = Lamina.SoftCpu.Decode.Instruction;
using Instruction = Iced.Intel.Instruction;

namespace Lamina.SoftCpu.Tests.Decode;

/// <summary>The decoder against Iced: length, memory operand, operand size, and what is not an instruction.</summary>
public sealed unsafe class DecoderTests
{
    private static readonly byte[] Sibs = [0x00, 0x05, 0x24, 0x25, 0x4d, 0x65, 0x6c, 0x9f, 0xa4, 0xe5, 0xfb, 0xff];

    // What Iced knows and no processor modelled here defines as it does: 3DNow!, XOP, SSE4a (two immediates), EVEX and MVEX, test registers, Cyrix
    // and VIA extensions, and branches with 66 in 64-bit code, which AMD and Intel decode differently.
    private static bool IsForeign(in Instruction i) => i.Encoding is EncodingKind.D3NOW or EncodingKind.XOP or EncodingKind.EVEX or EncodingKind.MVEX
        || HasFeature(i, CpuidFeature.SSE4A);

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    [InlineData(2)]
    public void LegacyMaps(int codeSize)
    {
        byte[][] prefixes = [[], [0x66], [0x67], [0xf2], [0xf3], [0x66, 0x67], [0x64], [0x2e, 0x66], [0x66, 0xf3], [0xf2, 0x66, 0x36], [0xf0]];
        byte[][] wide = [.. prefixes, [0x41], [0x42], [0x44], [0x48], [0x4f], [0x66, 0x4f], [0x67, 0x4f], [0x66, 0x48], [0xf3, 0x48], [0x48, 0x66], [0x40]];
        byte[][] maps = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
        Random random = new(codeSize);
        Dictionary<Code, string> differences = [];
        Span<byte> bytes = stackalloc byte[40];
        foreach (byte[] prefix in codeSize == 8 ? wide : prefixes)
        {
            foreach (byte[] map in maps)
            {
                for (int op = 0; op < 256; op++)
                {
                    if ((map.Length == 0 && IsPrefixOrEscape(op, codeSize)) || (map.Length == 1 && op is 0x38 or 0x3a))
                    {
                        continue;
                    }

                    // All of ModRM where the digit matters and nothing was prefixed; a sample elsewhere.
                    int step = prefix.Length == 0 || map.Length < 2 ? 1 : 7;
                    for (int modRm = op & (step - 1); modRm < 256; modRm += step)
                    {
                        int n = Start(random, bytes, prefix, map, op);
                        bytes[n] = (byte)modRm;
                        bytes[n + 1] = Sibs[random.Next(Sibs.Length)];
                        Compare(bytes, codeSize, differences);
                    }
                }
            }
        }

        AssertNone(differences);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    [InlineData(2)]
    public void AllSibBytes(int codeSize)
    {
        Dictionary<Code, string> differences = [];
        Span<byte> bytes = stackalloc byte[40];
        byte[][] prefixes = codeSize == 8 ? [[], [0x41], [0x42], [0x43], [0x67], [0x65]] : codeSize == 4 ? [[], [0x64]] : [[0x67], [0x67, 0x26]];
        Random random = new(codeSize);
        foreach (byte[] prefix in prefixes)
        {
            for (int mod = 0; mod < 3; mod++)
            {
                for (int sib = 0; sib < 256; sib++)
                {
                    int n = Start(random, bytes, prefix, [], 0x8b);
                    bytes[n] = (byte)((mod << 6) | 4);
                    bytes[n + 1] = (byte)sib;
                    Compare(bytes, codeSize, differences);
                }
            }
        }

        AssertNone(differences);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    [InlineData(2)]
    public void Vex(int codeSize)
    {
        Random random = new(codeSize);
        Dictionary<Code, string> differences = [];
        Span<byte> bytes = stackalloc byte[40];
        for (int map = 1; map < 4; map++)
        {
            for (int op = 0; op < 256; op++)
            {
                for (int n = 0; n < 64; n++)
                {
                    random.NextBytes(bytes);
                    bytes[0] = 0xc4;
                    bytes[1] = (byte)((random.Next(8) << 5) | map | (codeSize == 8 ? 0 : 0xc0));
                    bytes[2] = (byte)(random.Next(3) == 0 ? random.Next(256) : 0x78 | (random.Next(8)) | (random.Next(2) << 7));
                    bytes[3] = (byte)op;
                    Compare(bytes, codeSize, differences);
                    bytes[1] = (byte)(bytes[2] | (codeSize == 8 ? 0 : 0xc0));
                    bytes[0] = 0xc5;
                    bytes[2] = (byte)op;
                    if (map == 1)
                    {
                        Compare(bytes, codeSize, differences);
                    }
                }
            }
        }

        AssertNone(differences);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    [InlineData(2)]
    public void RandomBytes(int codeSize)
    {
        Random random = new(100 + codeSize);
        byte[] prefixes = [0x66, 0x67, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf0, 0x40, 0x48, 0x4f];
        Dictionary<Code, string> differences = [];
        Span<byte> bytes = stackalloc byte[40];
        for (int n = 0; n < 300_000; n++)
        {
            random.NextBytes(bytes);
            int count = random.Next(4);
            for (int k = 0; k < count; k++)
            {
                bytes[k] = prefixes[random.Next(prefixes.Length)];
            }

            if (random.Next(2) == 0)
            {
                bytes[count] = 0x0f;
            }

            Compare(bytes, codeSize, differences);
        }

        AssertNone(differences);
    }

    [Theory]
    [InlineData("8b8424785634126690")]
    [InlineData("66f3480f3afc84c878563412aa")]
    [InlineData("c4e27d5884c878563412")]
    [InlineData("48b8112233445566778890")]
    [InlineData("c8341207")]
    [InlineData("48c78424785634121122334490")]
    public void TruncationAndLength(string hex)
    {
        byte[] code = Convert.FromHexString(hex);
        fixed (byte* p = code)
        {
            Assert.Equal(DecodeStatus.Done, Decoder.Decode(p, code.Length, 8, out GuestInstruction whole));
            for (int n = 0; n < whole.Length; n++)
            {
                Assert.Equal(DecodeStatus.Truncated, Decoder.Decode(p, n, 8, out _));
            }

            for (int n = whole.Length; n <= code.Length; n++)
            {
                Assert.Equal(DecodeStatus.Done, Decoder.Decode(p, n, 8, out GuestInstruction again));
                Assert.Equal(whole.Length, again.Length);
            }
        }

        // Prefixes up to and beyond fifteen bytes.
        byte* buffer = stackalloc byte[40];
        int length = Length(code);
        for (int n = 0; n < 15; n++)
        {
            new Span<byte>(buffer, n).Fill(0x2e);
            code.CopyTo(new Span<byte>(buffer + n, 20));
            DecodeStatus status = Decoder.Decode(buffer, 15, 8, out GuestInstruction i);
            Assert.Equal(n + length <= 15 ? DecodeStatus.Done : DecodeStatus.TooLong, status);
            Assert.True(status == DecodeStatus.TooLong || i.Length == n + length);
            if (n + length > 15)
            {
                Assert.Equal(DecodeStatus.Truncated, Decoder.Decode(buffer, 14, 8, out _));
            }
        }
    }

    private static void AssertNone(Dictionary<Code, string> differences)
    {
        if (differences.Count != 0)
        {
            Assert.Fail($"{differences.Count} opcodes differ:\n{string.Join('\n', differences.Values.Take(40))}");
        }
    }

    private static int Length(byte[] code)
    {
        fixed (byte* p = code)
        {
            Decoder.Decode(p, code.Length, 8, out GuestInstruction i);
            return i.Length;
        }
    }

    private static bool IsPrefixOrEscape(int op, int codeSize)
    {
        return op is 0x0f or 0x66 or 0x67 or 0xf0 or 0xf2 or 0xf3 or 0x26 or 0x2e or 0x36 or 0x3e or 0x64 or 0x65 || (codeSize == 8 && (op & 0xf0) == 0x40);
    }

    private static int Start(Random random, Span<byte> bytes, byte[] prefix, byte[] map, int op)
    {
        random.NextBytes(bytes);
        prefix.CopyTo(bytes);
        map.CopyTo(bytes[prefix.Length..]);
        int n = prefix.Length + map.Length;
        bytes[n] = (byte)op;
        return n + 1;
    }

    private static bool HasFeature(in Instruction i, CpuidFeature feature)
    {
        foreach (CpuidFeature f in i.CpuidFeatures)
        {
            if (f == feature)
            {
                return true;
            }
        }

        return false;
    }

    private sealed class Source : CodeReader
    {
        public byte[] Bytes { get; } = new byte[40];

        public int Position { get; set; }

        public override int ReadByte() => Position < Bytes.Length ? Bytes[Position++] : -1;
    }

    private static readonly ThreadLocal<Dictionary<int, (Source Source, Iced.Intel.Decoder Decoder)>> Oracles = new(static () => []);

    private static void Compare(ReadOnlySpan<byte> bytes, int codeSize, Dictionary<Code, string> differences)
    {
        Dictionary<int, (Source Source, Iced.Intel.Decoder Decoder)> oracles = Oracles.Value!;
        if (!oracles.TryGetValue(codeSize, out (Source Source, Iced.Intel.Decoder Decoder) oracle))
        {
            Source source = new();
            oracles[codeSize] = oracle = (source, Iced.Intel.Decoder.Create(codeSize * 8, source, DecoderOptions.NoWbnoinvd));
        }

        bytes.CopyTo(oracle.Source.Bytes);
        oracle.Source.Position = 0;
        oracle.Decoder.IP = 0;
        oracle.Decoder.Decode(out Instruction expected);
        fixed (byte* p = bytes)
        {
            DecodeStatus status = Decoder.Decode(p, 15, codeSize, out GuestInstruction actual);

            // What Iced refuses, the binder must refuse: see BinderTests.
            if (expected.IsInvalid || IsForeign(expected))
            {
                return;
            }

            string? difference = status != DecodeStatus.Done ? $"status {status}" : Difference(expected, actual, codeSize);
            if (difference != null)
            {
                differences.TryAdd(expected.Code, $"{codeSize * 8}-bit {Convert.ToHexString(bytes[..15])} {expected} ({expected.Code}): {difference}");
            }
        }
    }

    private static string? Difference(in Instruction expected, in GuestInstruction actual, int codeSize)
    {
        if (expected.Length != actual.Length)
        {
            return $"length {actual.Length}, expected {expected.Length}";
        }

        int size = expected.Code.ToOpCode().OperandSize / 8;
        bool sized = size != 0 && (actual.Flags & InstructionFlags.Vex) == 0 && actual.Opcode is not ((>= 0x120 and <= 0x123) or 0x1a0 or 0x1a1 or 0x1a8 or 0x1a9);
        if (sized && size != actual.OperandSize && !FixedSize(expected))
        {
            return $"operand size {actual.OperandSize}, expected {size}";
        }

        bool memory = false;
        for (int n = 0; n < expected.OpCount; n++)
        {
            memory |= expected.GetOpKind(n) == OpKind.Memory;
        }

        if ((actual.Flags & InstructionFlags.ModRm) == 0 || actual.Opcode is >= 0x120 and <= 0x123)
        {
            return null;
        }

        if (memory != ((actual.Flags & InstructionFlags.Memory) != 0))
        {
            return $"memory operand {!memory}, expected {memory}";
        }

        return memory ? MemoryDifference(expected, actual, codeSize) : null;
    }

    private static string? MemoryDifference(in Instruction expected, in GuestInstruction actual, int codeSize)
    {
        bool relative = expected.IsIPRelativeMemoryOperand;
        if (relative != ((actual.Flags & InstructionFlags.RipRelative) != 0))
        {
            return $"RIP-relative {!relative}";
        }

        int @base = relative ? ProcessorContext.ZeroRegister : Number(expected.MemoryBase);
        int index = Number(expected.MemoryIndex);
        int scale = expected.MemoryIndexScale switch { 1 => 0, 2 => 1, 4 => 2, _ => 3 };
        if (@base != actual.Base || index != actual.Index || (index != ProcessorContext.ZeroRegister && scale != actual.Scale))
        {
            return $"base {actual.Base} index {actual.Index} scale {actual.Scale}, expected {@base} {index} {scale}";
        }

        int addressSize = relative ? actual.AddressSize
            : expected.MemoryBase != Register.None ? expected.MemoryBase.GetSize()
            : expected.MemoryIndex != Register.None && !expected.MemoryIndex.IsVectorRegister() ? expected.MemoryIndex.GetSize() : actual.AddressSize;
        if (addressSize != actual.AddressSize)
        {
            return $"address size {actual.AddressSize}, expected {addressSize}";
        }

        ulong mask = actual.AddressSize == 8 ? ulong.MaxValue : actual.AddressSize == 4 ? uint.MaxValue : ushort.MaxValue;
        ulong displacement = expected.MemoryDisplacement64 - (relative ? (ulong)expected.Length : 0);
        if (((displacement ^ (ulong)(long)actual.Displacement) & mask) != 0)
        {
            return $"displacement {actual.Displacement:x}, expected {displacement:x}";
        }

        int segment = expected.MemorySegment - Register.ES;
        return segment != actual.Segment && !(codeSize == 8 && segment < 4 && actual.Segment < 4) ? $"segment {actual.Segment}, expected {segment}" : null;
    }

    // The x87 environment and XBEGIN have no 64-bit form. The binder finds the other sizes: 64-bit for near branches and PUSH in 64-bit code, 32-bit for port instructions whatever REX.W says.
    private static bool FixedSize(in Instruction expected)
    {
        return expected.Mnemonic is Mnemonic.Call or Mnemonic.Jmp or Mnemonic.Push or Mnemonic.In or Mnemonic.Out or Mnemonic.Insd or Mnemonic.Outsd
            or Mnemonic.Fnstenv or Mnemonic.Fldenv or Mnemonic.Fnsave or Mnemonic.Frstor or Mnemonic.Xbegin;
    }

    private static int Number(Register register) => register == Register.None ? ProcessorContext.ZeroRegister : register.GetNumber();
}
