using System.Globalization;
using Lamina.Interop;
using Lamina.Interop.Networks;
using Lamina.Interop.Processes;

namespace Lamina.Networking;

/// <summary>A network that needs no privileges: passt, a program of the host, opens connections on the guest's behalf. It ends with this process's end of the wire.</summary>
public sealed class UserNetwork : StreamNetwork
{
    private const string Program = "passt";
    private const int PatienceMilliseconds = 3000;
    private const int FrameLength = 42;
    private const int LengthBytes = 4;
    private readonly HostProgram _program;

    private UserNetwork(OwnedDescriptor socket, HostProgram program)
        : base(socket)
    {
        _program = program;
    }

    /// <summary>
    /// Starts passt. With ports to publish, which may be in use, it is waited for, a tenth of a second; without them it becomes ready while the guest runs, and what the guest sends before waits for it.
    /// </summary>
    /// <param name="ports">Ports of the host that lead to the guest.</param>
    /// <exception cref="NetworkException">It is not installed, or refuses.</exception>
    public static UserNetwork Start(IReadOnlyList<PublishedPort> ports)
    {
        using StreamPair pair = CreatePair();
        HostProgram program = StartProgram(pair, CreateArguments(pair.ShareOther(), ports));
        string reason;
        Exception? cause = null;
        try
        {
            if (ports.Count == 0 || Answers(pair.Own))
            {
                return new UserNetwork(pair.Own, program);
            }

            // It says why before it ends, and closes its end of the wire after that.
            reason = FindReason(program) ?? "it does not answer";
        }
        catch (SystemCallException e)
        {
            (reason, cause) = (e.Reason, e);
        }

        pair.Own.Dispose();
        program.Dispose();
        throw new NetworkException($"{Program} does not start: {reason}.{(ports.Count > 0 && cause == null ? " Perhaps a published port is in use." : "")}", cause);
    }

    /// <summary>Starts passt for another process, whose it is from then on: it goes into the background, and ends with the wire.</summary>
    /// <returns>The wire's end.</returns>
    /// <exception cref="NetworkException">It is not installed, or refuses.</exception>
    public static OwnedDescriptor StartForOther(IReadOnlyList<PublishedPort> ports)
    {
        using StreamPair pair = CreatePair();
        List<string> arguments = CreateArguments(pair.ShareOther(), ports);
        arguments.RemoveAll(static a => a is "--foreground" or "--stderr");
        using HostProgram program = StartProgram(pair, arguments);
        if (program.WaitForExit() == 0 && Answers(pair.Own))
        {
            return pair.Own;
        }

        pair.Own.Dispose();
        throw new NetworkException($"{Program} does not start: {FindReason(program) ?? "it does not answer"}.{(ports.Count > 0 ? " Perhaps a published port is in use." : "")}");
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _program.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected override string Explain() => $"{Program} has ended{(FindReason(_program) is { } reason ? $" ({reason})" : "")}";

    private static StreamPair CreatePair()
    {
        try
        {
            return new StreamPair();
        }
        catch (SystemCallException e)
        {
            throw new NetworkException($"'--net user' needs a pair of sockets, which cannot be had: {e.Reason}.", e);
        }
    }

    private static HostProgram StartProgram(StreamPair pair, List<string> arguments)
    {
        try
        {
            HostProgram program = HostProgram.Start(Program, arguments);
            pair.CloseOther();
            return program;
        }
        catch (SystemCallException e)
        {
            pair.Own.Dispose();
            string help = e.ErrorNumber == ErrorNumber.NoEntry ? " On Debian, 'apt install passt' installs it." : "";
            throw new NetworkException($"'--net user' needs the program '{Program}', which cannot be started: {e.Reason}.{help}", e);
        }
    }

    // The last line that it has said, without the complaint about a wire that is gone.
    private static string? FindReason(HostProgram program)
    {
        string? said = program.ReadMessages().Split('\n').LastOrDefault(static l => l.Trim().Length > 0 && !l.StartsWith("Failed to send", StringComparison.Ordinal));
        return said?.Trim() ?? (program.FindStatus() is { } status ? string.Create(CultureInfo.InvariantCulture, $"exit status {status}") : null);
    }

    // Asks for the hardware address of somebody (any address will do: passt answers for all of them) and waits for the answer or the end of the program, which
    // ends at once if its arguments are bad or its ports are taken.
    private static bool Answers(OwnedDescriptor socket)
    {
        byte[] frame = new byte[LengthBytes + FrameLength];
        byte[] request =
        [
            0, 0, 0, FrameLength,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1, 0x08, 0x06,
            0, 1, 0x08, 0, 6, 4, 0, 1, 0x02, 0, 0, 0, 0, 1, 169, 254, 1, 1, 0, 0, 0, 0, 0, 0, 169, 254, 1, 2,
        ];
        _ = Descriptor.Write(socket.Number, request, out _);
        int filled = 0;
        while (filled < frame.Length)
        {
            if (Descriptor.Wait(socket.Number, Lamina.Interop.Events.Readiness.Readable, PatienceMilliseconds) == Lamina.Interop.Events.Readiness.None)
            {
                return false;
            }

            int count = socket.Read(frame.AsSpan(filled), out int error);
            if (count <= 0 && error != ErrorNumber.TryAgain)
            {
                return false;
            }

            filled += Math.Max(count, 0);
        }

        return frame.AsSpan(LengthBytes + 12, 2).SequenceEqual<byte>([0x08, 0x06]);
    }

    /// <summary>What passt is told.</summary>
    internal static List<string> CreateArguments(int descriptor, IReadOnlyList<PublishedPort> ports)
    {
        List<string> arguments = ["--foreground", "--quiet", "--stderr", "--fd", descriptor.ToString(CultureInfo.InvariantCulture)];
        foreach (PublishedPort port in ports)
        {
            string address = port.HostAddress == null ? "" : $"{port.HostAddress}/";
            arguments.Add(port.IsUdp ? "--udp-ports" : "--tcp-ports");
            arguments.Add(string.Create(CultureInfo.InvariantCulture, $"{address}{port.HostPort}:{port.GuestPort}"));
        }

        return arguments;
    }
}
