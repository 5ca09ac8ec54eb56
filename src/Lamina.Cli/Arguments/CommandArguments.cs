using System.Text;

namespace Lamina.Cli.Arguments;

/// <summary>
/// The arguments after "--", byte for byte. The runtime hands arguments over as UTF-16 and replaces what is not UTF-8, so the bytes are taken from the kernel
/// when that happened.
/// </summary>
internal static class CommandArguments
{
    private const string ProcessArguments = "/proc/self/cmdline";

    /// <summary>Splits the program's arguments at the first "--".</summary>
    public static (string[] Own, string[]? Command) Split(string[] arguments)
    {
        int index = Array.IndexOf(arguments, "--");
        return index < 0 ? (arguments, null) : (arguments[..index], arguments[(index + 1)..]);
    }

    /// <summary>The bytes of the last arguments of this process, which <paramref name="command"/> are.</summary>
    public static IReadOnlyList<ReadOnlyMemory<byte>> GetBytes(string[] command)
    {
        if (Array.Exists(command, a => a.Contains('\uFFFD', StringComparison.Ordinal)))
        {
            try
            {
                return TakeLast(File.ReadAllBytes(ProcessArguments), command.Length);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Without /proc the replaced characters are all there is.
            }
        }

        return Array.ConvertAll(command, a => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(a));
    }

    /// <summary>The last strings of a sequence of zero-terminated ones.</summary>
    internal static IReadOnlyList<ReadOnlyMemory<byte>> TakeLast(ReadOnlyMemory<byte> strings, int count)
    {
        List<ReadOnlyMemory<byte>> all = [];
        while (!strings.IsEmpty)
        {
            int end = strings.Span.IndexOf((byte)0);
            end = end < 0 ? strings.Length : end;
            all.Add(strings[..end]);
            strings = strings[Math.Min(end + 1, strings.Length)..];
        }

        return all.GetRange(Math.Max(0, all.Count - count), Math.Min(count, all.Count));
    }
}
