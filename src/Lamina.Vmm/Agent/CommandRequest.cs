using System.Buffers.Binary;
using System.Text;

namespace Lamina.Vmm.Agent;

/// <summary>What an agent is sent to start a command.</summary>
internal static class CommandRequest
{
    // The agent starts programs by their paths alone; a shell is in every guest, and knows how to look for them.
    private const string Script = """
        cd -- "$1" || exit 126
        shift
        if ! command -v -- "$1" >/dev/null; then
            printf "lamina: there is no command '%s' in the guest\n" "$1" >&2
            exit 127
        fi
        exec "$@"
        """;

    private static readonly string[] LoginEnvironment =
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LOGNAME=root", "LANG=C.UTF-8"];

    /// <summary>Makes it.</summary>
    /// <exception cref="GuestAgentException">It is not acceptable.</exception>
    public static byte[] Create(GuestCommandSettings settings)
    {
        if (settings.Arguments.Count == 0)
        {
            throw new GuestAgentException("there is no command");
        }

        List<byte[]> arguments = ["/bin/sh"u8.ToArray(), "-c"u8.ToArray(), Encoding.UTF8.GetBytes(Script.ReplaceLineEndings("\n")), "lamina"u8.ToArray(), Encoding.UTF8.GetBytes(settings.WorkingDirectory ?? "/root")];
        arguments.AddRange(settings.Arguments.Select(a => a.ToArray()));
        Dictionary<string, string> variables = new(StringComparer.Ordinal);
        foreach (string variable in LoginEnvironment.Concat(settings.Environment))
        {
            variables[variable.Split('=', 2)[0]] = variable;
        }

        byte[][] strings = [.. arguments, .. variables.Values.Select(Encoding.UTF8.GetBytes)];
        if (Array.Exists(strings, s => s.Contains((byte)0)))
        {
            throw new GuestAgentException("the command has an argument with a zero byte, which no program can be given");
        }

        int length = strings.Sum(s => s.Length + 1);
        if (strings.Length > AgentProtocol.MaximumStrings || length > AgentProtocol.MaximumLength)
        {
            throw new GuestAgentException($"the command is too long: {AgentProtocol.MaximumStrings} arguments and variables with {AgentProtocol.MaximumLength} bytes are accepted");
        }

        byte[] request = new byte[AgentProtocol.RequestLength + length];
        BinaryPrimitives.WriteInt32LittleEndian(request, AgentProtocol.Signature);
        if (settings.Terminal is { } window)
        {
            BinaryPrimitives.WriteInt32LittleEndian(request.AsSpan(AgentProtocol.FlagsOffset), AgentProtocol.TerminalFlag);
            WriteWindow(request.AsSpan(AgentProtocol.WindowOffset), window);
        }

        BinaryPrimitives.WriteInt32LittleEndian(request.AsSpan(AgentProtocol.ArgumentsOffset), arguments.Count);
        BinaryPrimitives.WriteInt32LittleEndian(request.AsSpan(AgentProtocol.EnvironmentOffset), variables.Count);
        BinaryPrimitives.WriteInt32LittleEndian(request.AsSpan(AgentProtocol.LengthOffset), length);
        int offset = AgentProtocol.RequestLength;
        foreach (byte[] text in strings)
        {
            text.CopyTo(request, offset);
            offset += text.Length + 1;
        }

        return request;
    }

    /// <summary>Writes the size of a window as the kernel has it: rows, then columns.</summary>
    public static void WriteWindow(Span<byte> target, TerminalWindow window)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(target, (ushort)Math.Clamp(window.Rows, 0, ushort.MaxValue));
        BinaryPrimitives.WriteUInt16LittleEndian(target[2..], (ushort)Math.Clamp(window.Columns, 0, ushort.MaxValue));
    }
}
