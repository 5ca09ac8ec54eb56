using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using Lamina.Interop.Networks;

namespace Lamina.Networking;

/// <summary>A network that needs no privileges: passt, a program of the host, opens connections on the guest's behalf. It ends with this process's end of the wire.</summary>
public sealed class UserNetwork : StreamNetwork
{
    private const string Program = "passt";
    private const int PatienceMilliseconds = 3000;
    private const int FrameLength = 42;
    private const int LengthBytes = 4;
    private readonly Process _process;

    private UserNetwork(OwnedDescriptor socket, Process process)
        : base(socket)
    {
        _process = process;
    }

    /// <summary>Starts passt.</summary>
    /// <exception cref="NetworkException">It is not installed, or refuses.</exception>
    public static UserNetwork Start(IReadOnlyList<PublishedPort> ports)
    {
        using StreamPair pair = new();
        ProcessStartInfo start = new(Program, CreateArguments(pair.ShareOther(), ports))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            pair.Own.Dispose();
            throw new NetworkException($"'--net user' needs the program '{Program}', which cannot be started: {e.Message}. On Debian, 'apt install passt' installs it.", e);
        }

        pair.CloseOther();
        process.StandardInput.Close();
        string said = "";
        process.ErrorDataReceived += (_, line) => said = line.Data is { Length: > 0 } text && !text.StartsWith("Failed to send", StringComparison.Ordinal) ? text : said;
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        if (!Answers(pair.Own))
        {
            Kill(process);
            process.WaitForExit();
            pair.Own.Dispose();
            int status = process.ExitCode;
            process.Dispose();
            string reason = said.Length > 0 ? said : string.Create(CultureInfo.InvariantCulture, $"exit status {status}");
            throw new NetworkException($"{Program} does not start: {reason}.{(ports.Count > 0 ? " Perhaps a published port is in use." : "")}");
        }

        return new UserNetwork(pair.Own, process);
    }

    /// <summary>Starts passt for another process, whose it is from then on: it goes into the background, and ends with the wire.</summary>
    /// <returns>The wire's end.</returns>
    /// <exception cref="NetworkException">It is not installed, or refuses.</exception>
    public static OwnedDescriptor StartForOther(IReadOnlyList<PublishedPort> ports)
    {
        using StreamPair pair = new();
        List<string> arguments = CreateArguments(pair.ShareOther(), ports);
        arguments.RemoveAll(static a => a is "--foreground" or "--stderr");
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(Program, arguments) { RedirectStandardError = true })!;
            pair.CloseOther();
            string said = process.StandardError.ReadToEnd().Trim();
            process.WaitForExit();
            if (process.ExitCode == 0 && Answers(pair.Own))
            {
                return pair.Own;
            }

            string reason = said.Length > 0 ? said.Split('\n')[^1] : string.Create(CultureInfo.InvariantCulture, $"exit status {process.ExitCode}");
            throw new NetworkException($"{Program} does not start: {reason}.{(ports.Count > 0 ? " Perhaps a published port is in use." : "")}");
        }
        catch (Win32Exception e)
        {
            pair.Own.Dispose();
            throw new NetworkException($"'--net user' needs the program '{Program}', which cannot be started: {e.Message}. On Debian, 'apt install passt' installs it.", e);
        }
        catch (NetworkException)
        {
            pair.Own.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        Kill(_process);
        _process.Dispose();
        GC.SuppressFinalize(this);
    }

    private static void Kill(Process process)
    {
        try
        {
            process.Kill();
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception)
        {
            // It has ended already; or this process may send no signals any more, and it ends because its wire has.
        }
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
        _ = Interop.Descriptor.Write(socket.Number, request, out _);
        int filled = 0;
        while (filled < frame.Length)
        {
            if (Interop.Descriptor.Wait(socket.Number, Interop.Events.Readiness.Readable, PatienceMilliseconds) == Interop.Events.Readiness.None)
            {
                return false;
            }

            int count = socket.Read(frame.AsSpan(filled), out int error);
            if (count <= 0 && error != Interop.ErrorNumber.TryAgain)
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
