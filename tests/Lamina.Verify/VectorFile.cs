using System.Globalization;
using System.Text;
using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>
/// Cases as text, a line for each part that is not zero: <c>code</c>, <c>sequence LENGTH ...</c> if that is several instructions, <c>bits</c>, <c>mode</c> (real, v86) and <c>segment N SELECTOR BASE LIMIT ATTRIBUTES</c> of 16- and 32-bit code, <c>register N</c>, <c>flags</c>, <c>mxcsr</c>, <c>vector N</c>, <c>x87</c> (an FXSAVE image's first 160 bytes) and
/// <c>memory ADDRESS</c>, numbers and bytes in hexadecimal. Lines that begin with # say where it comes from.
/// </summary>
internal static unsafe class VectorFile
{
    private const int X87Length = 160;
    private const int LineLength = 32;

    public static string Write(TestCase test, string comment)
    {
        StringBuilder text = new();
        foreach (string line in comment.Split('\n'))
        {
            text.Append("# ").AppendLine(line);
        }

        text.Append("code ").AppendLine(Convert.ToHexString(test.Instruction));
        if (test.IsSequence)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"sequence {string.Join(' ', test.Lengths)}");
        }

        if (test.Bits != 64)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"bits {test.Bits}");
            if (test.Mode != CodeMode.Protected)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"mode {test.Mode}");
            }

            for (int n = 0; n < SegmentValues.Count; n++)
            {
                SegmentValue segment = test.Segments[n];
                text.AppendLine(CultureInfo.InvariantCulture, $"segment {n} {segment.Selector:x} {segment.Base:x} {segment.Limit:x} {segment.Attributes:x}");
            }
        }

        fixed (NativeState* s = &test.State)
        {
            for (int n = 0; n < 16; n++)
            {
                if (s->General[n] != 0)
                {
                    text.AppendLine(CultureInfo.InvariantCulture, $"register {n} {s->General[n]:x}");
                }
            }

            text.AppendLine(CultureInfo.InvariantCulture, $"flags {s->Flags:x}");
            text.AppendLine(CultureInfo.InvariantCulture, $"mxcsr {s->Mxcsr:x}");
            for (int n = 0; n < 16; n++)
            {
                Span<byte> vector = new(s->Vectors + (n * 32), 32);
                if (vector.IndexOfAnyExcept((byte)0) >= 0)
                {
                    text.AppendLine(CultureInfo.InvariantCulture, $"vector {n} {Convert.ToHexString(vector)}");
                }
            }

            text.AppendLine(CultureInfo.InvariantCulture, $"x87 {Convert.ToHexString(new Span<byte>(s->X87, X87Length))}");
        }

        for (int at = 0; at < Arena.DataSize; at += LineLength)
        {
            Span<byte> bytes = test.Memory.AsSpan(at, LineLength);
            if (bytes.IndexOfAnyExcept((byte)0) >= 0)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"memory {Arena.Data + (ulong)at:x} {Convert.ToHexString(bytes)}");
            }
        }

        return text.ToString();
    }

    /// <exception cref="FormatException">It is no such text.</exception>
    public static TestCase Read(string text)
    {
        const ushort InitialControl = 0x37f;
        TestCase test = new();
        fixed (NativeState* initial = &test.State)
        {
            *(ushort*)initial->X87 = InitialControl;
        }

        foreach (string line in text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] words = line.Split(' ');
            if (words[0].StartsWith('#'))
            {
                continue;
            }

            byte[] bytes = words[0] is "code" or "vector" or "x87" or "memory" ? Convert.FromHexString(words[^1]) : [];
            fixed (NativeState* s = &test.State)
            {
                switch (words[0])
                {
                    case "code" when bytes.Length is > 0 and <= TestCase.MaximumSequence:
                        bytes.CopyTo(test.Code, 0);
                        test.Length = bytes.Length;
                        break;
                    case "sequence":
                        test.Lengths.AddRange(words[1..].Select(static w => Number(w, TestCase.MaximumLength + 1)));
                        break;
                    case "bits" when words[1] is "16" or "32" or "64":
                        test.Bits = Number(words[1], 65);
                        break;
                    case "mode" when Enum.TryParse(words[1], ignoreCase: true, out CodeMode mode) && Enum.IsDefined(mode):
                        test.Mode = mode;
                        break;
                    case "segment":
                        test.Segments[Number(words[1], SegmentValues.Count)] = new SegmentValue((ushort)Hex(words[2]), (uint)Hex(words[3]), (uint)Hex(words[4]), (uint)Hex(words[5]));
                        break;
                    case "register":
                        s->General[Number(words[1], 16)] = Hex(words[2]);
                        break;
                    case "flags":
                        s->Flags = Hex(words[1]);
                        break;
                    case "mxcsr":
                        s->Mxcsr = (uint)Hex(words[1]);
                        break;
                    case "vector" when bytes.Length == 32:
                        bytes.CopyTo(new Span<byte>(s->Vectors + (Number(words[1], 16) * 32), 32));
                        break;
                    case "x87" when bytes.Length == X87Length:
                        bytes.CopyTo(new Span<byte>(s->X87, X87Length));
                        break;
                    case "memory" when Hex(words[1]) - Arena.Data <= (ulong)(Arena.DataSize - bytes.Length):
                        bytes.CopyTo(test.Memory, (int)(Hex(words[1]) - Arena.Data));
                        break;
                    default:
                        throw new FormatException($"'{line}' is no line of a test vector.");
                }
            }
        }

        if (test.Length == 0)
        {
            throw new FormatException("A test vector needs its code.");
        }

        if (test.Mode != CodeMode.Protected && test.Bits != 16)
        {
            throw new FormatException("Only 16-bit code runs in real or virtual-8086 mode.");
        }

        bool fits = test.IsSequence ? test.Bits == 64 && test.Lengths.Sum() == test.Length : test.Length <= TestCase.MaximumLength;
        return fits ? test : throw new FormatException("The instructions of a test vector are not as long as its code.");
    }

    private static ulong Hex(string text) => ulong.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static int Number(string text, int limit) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number < limit ? number : throw new FormatException($"'{text}' is not a number below {limit}.");
}
