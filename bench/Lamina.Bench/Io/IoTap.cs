using System.Diagnostics;

namespace Lamina.Bench.Io;

/// <summary>A tap interface with an address, and a server of iperf3 on it.</summary>
internal sealed class IoTap : IDisposable
{
    private readonly Process _server;

    private IoTap(string name, Process server)
    {
        Name = name;
        _server = server;
    }

    /// <summary>The interface's name.</summary>
    public string Name { get; }

    /// <summary>Makes it; null where the host does not let us, or has no iperf3.</summary>
    public static IoTap? TryMake(string name, string address)
    {
        if (Run("ip", "tuntap", "add", name, "mode", "tap") != 0)
        {
            Console.Error.WriteLine("no tap interface can be made here: the network is left out");
            return null;
        }

        try
        {
            if (Run("ip", "addr", "add", $"{address}/24", "dev", name) == 0 && Run("ip", "link", "set", name, "up") == 0)
            {
                return new IoTap(name, Process.Start(new ProcessStartInfo("iperf3", ["-s", "-B", address]) { RedirectStandardOutput = true })!);
            }
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Console.Error.WriteLine("iperf3 is not installed here: the network is left out");
        }

        Run("ip", "link", "del", name);
        return null;
    }

    public void Dispose()
    {
        _server.Kill();
        _server.WaitForExit();
        _server.Dispose();
        Run("ip", "link", "del", Name);
    }

    private static int Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }
}
