using System.Globalization;
using System.Text;

namespace Lamina.Verify.Privileged;

/// <summary>
/// Machines as text, behind a line <c>machine</c>: <c>register N VALUE</c>, <c>segment N SELECTOR BASE LIMIT ATTRIBUTES</c> (ES to GS, LDTR, TR), the other registers by their names, and <c>memory ADDRESS BYTES</c>, in hexadecimal; what is zero has no line.
/// </summary>
internal static class SystemVector
{
    private const string Head = "machine";
    private const int LineLength = 32;

    public static bool IsOne(string text) => text.Split('\n', StringSplitOptions.TrimEntries).FirstOrDefault(static l => l.Length > 0 && l[0] != '#') == Head;

    public static string Write(MachineImage machine, string comment)
    {
        StringBuilder text = new();
        foreach (string line in comment.Split('\n'))
        {
            text.Append("# ").AppendLine(line);
        }

        text.AppendLine(Head);
        for (int n = 0; n < MachineImage.GeneralCount; n++)
        {
            if (machine.General[n] != 0)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"register {n} {machine.General[n]:x}");
            }
        }

        for (int n = 0; n < (int)MachineRegister.Count; n++)
        {
            if (machine.Registers[n] != 0)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"{((MachineRegister)n).ToString().ToLowerInvariant()} {machine.Registers[n]:x}");
            }
        }

        for (int n = 0; n < MachineImage.SegmentCount; n++)
        {
            SegmentImage s = machine.Segments[n];
            text.AppendLine(CultureInfo.InvariantCulture, $"segment {n} {s.Selector:x} {s.Base:x} {s.Limit:x} {s.Attributes:x}");
        }

        for (int at = 0; at < MachineImage.MemorySize; at += LineLength)
        {
            Span<byte> bytes = machine.Memory.AsSpan(at, LineLength);
            if (bytes.IndexOfAnyExcept((byte)0) >= 0)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"memory {at:x} {Convert.ToHexString(bytes)}");
            }
        }

        return text.ToString();
    }

    /// <exception cref="FormatException">It is no such text.</exception>
    public static MachineImage Read(string text)
    {
        MachineImage machine = new();
        foreach (string line in text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] words = line.Split(' ');
            switch (words[0])
            {
                case Head:
                case ['#', ..]:
                    break;
                case "register":
                    machine.General[Index(words[1], MachineImage.GeneralCount)] = Hex(words[2]);
                    break;
                case "segment":
                    machine.Segments[Index(words[1], MachineImage.SegmentCount)] = new SegmentImage((ushort)Hex(words[2]), Hex(words[3]), (uint)Hex(words[4]), (uint)Hex(words[5]));
                    break;
                case "memory" when Convert.FromHexString(words[2]) is var bytes && Hex(words[1]) <= (ulong)(MachineImage.MemorySize - bytes.Length):
                    bytes.CopyTo(machine.Memory, (int)Hex(words[1]));
                    break;
                case var name when Enum.TryParse(name, ignoreCase: true, out MachineRegister register) && register < MachineRegister.Count && char.IsLetter(name[0]):
                    machine[register] = Hex(words[1]);
                    break;
                default:
                    throw new FormatException($"'{line}' is no line of a test vector.");
            }
        }

        return machine;
    }

    private static ulong Hex(string text) => ulong.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static int Index(string text, int limit) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number < limit ? number : throw new FormatException($"'{text}' is not a number below {limit}.");
}
