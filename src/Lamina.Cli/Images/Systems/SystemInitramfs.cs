using System.Text;
using Lamina.Boot.Initramfs;
using Lamina.Cli.Arguments;
using Lamina.Cli.Images.Agent;
using Lamina.Cli.Images.Debian;

namespace Lamina.Cli.Images.Systems;

/// <summary>
/// Builds the initramfs with which a system image is started. It carries all that this run wants of the system, as files and units for its <c>/run</c>: the image itself knows nothing of
/// Lamina.
/// </summary>
internal static class SystemInitramfs
{
    private const int Executable = 0b111_101_101;
    private const string Run = "lamina/run";
    private const string Units = $"{Run}/systemd/system";
    private const string SystemUnits = "/lib/systemd/system";
    private static readonly string[] Directories =
    [
        "bin", "dev", "proc", "run", "sys", "system", "lamina", "lamina/modules", Run, $"{Run}/lamina", $"{Run}/systemd", $"{Run}/systemd/network", Units, $"{Units}/multi-user.target.wants",
    ];

    /// <summary>Builds it.</summary>
    public static byte[] Build(SystemImage image, ImageSession session)
    {
        using MemoryStream archive = new(4 << 20);
        using (CpioWriter writer = new(archive))
        {
            foreach (string directory in Directories)
            {
                writer.AddDirectory(directory);
            }

            writer.AddCharacterDevice("dev/console", 5, 1);
            writer.AddFile("bin/busybox", File.ReadAllBytes(image.GetPath(SystemImage.BusyBoxFile)), Executable);
            foreach (string module in Directory.EnumerateFiles(image.GetPath(SystemImage.ModuleDirectory)).Order(StringComparer.Ordinal))
            {
                writer.AddFile($"lamina/modules/{Path.GetFileName(module)}", File.ReadAllBytes(module));
            }

            writer.AddFile("init", Resource("system-init.sh"), Executable);
            AddSession(writer, session);
            AddNetwork(writer, session);
            AddShares(writer, session);
            AddAgent(writer, session);
            writer.Finish();
        }

        return archive.ToArray();
    }

    private static void AddSession(CpioWriter writer, ImageSession session)
    {
        writer.AddFile($"{Run}/lamina/session", Encoding.UTF8.GetBytes(DebianInitramfs.Describe(session)));
        writer.AddFile($"{Run}/lamina/session.sh", Resource("session.sh"), Executable);
        Enable(writer, "lamina-session.service", "multi-user.target.wants");
        if (session.Mode == SessionMode.Command)
        {
            writer.AddFile($"{Run}/lamina/command", ShellText.CreateCommandScript(session.Command, DebianInitramfs.Resource("command.sh")), Executable);
            writer.AddFile($"{Units}/lamina-command.service", Resource("lamina-command.service"));
        }
        else
        {
            writer.AddFile($"{Run}/lamina/typed.sh", Resource("typed.sh"));
        }

        // The console belongs to the session.
        writer.AddSymbolicLink($"{Units}/serial-getty@ttyS0.service", "/dev/null");
        if (session.Hardware.HasFlag(GuestHardware.Screen))
        {
            writer.AddDirectory($"{Units}/getty@tty1.service.d");
            writer.AddFile($"{Units}/getty@tty1.service.d/lamina.conf", Resource("screen-login.conf"));
        }
        else
        {
            writer.AddSymbolicLink($"{Units}/getty@tty1.service", "/dev/null");
        }
    }

    private static void AddNetwork(CpioWriter writer, ImageSession session)
    {
        if (!session.Hardware.HasFlag(GuestHardware.Network))
        {
            return;
        }

        writer.AddFile($"{Run}/systemd/network/80-lamina.network", Resource("lamina.network"));
        writer.AddSymbolicLink($"{Units}/multi-user.target.wants/systemd-networkd.service", $"{SystemUnits}/systemd-networkd.service");
        writer.AddSymbolicLink($"{Units}/multi-user.target.wants/network-online.target", $"{SystemUnits}/network-online.target");
        writer.AddDirectory($"{Units}/network-online.target.wants");
        writer.AddSymbolicLink($"{Units}/network-online.target.wants/systemd-networkd-wait-online.service", $"{SystemUnits}/systemd-networkd-wait-online.service");
        writer.AddDirectory($"{Units}/systemd-networkd-wait-online.service.d");
        writer.AddFile($"{Units}/systemd-networkd-wait-online.service.d/lamina.conf", Resource("network-wait.conf"));
    }

    private static void AddShares(CpioWriter writer, ImageSession session)
    {
        if (session.Shares.Count > 0)
        {
            writer.AddFile($"{Run}/lamina/shares", ShareArgument.Describe(session.Shares));
            writer.AddFile($"{Run}/lamina/shares.sh", Resource("shares.sh"), Executable);
            Enable(writer, "lamina-shares.service", "multi-user.target.wants");
        }
    }

    private static void AddAgent(CpioWriter writer, ImageSession session)
    {
        if (session.Hardware.HasFlag(GuestHardware.Socket))
        {
            writer.AddFile($"{Run}/lamina/agent", AgentProgram.Create(), Executable);
            Enable(writer, "lamina-agent.service", "multi-user.target.wants");
        }
    }

    private static void Enable(CpioWriter writer, string unit, string target)
    {
        writer.AddFile($"{Units}/{unit}", Resource(unit));
        writer.AddSymbolicLink($"{Units}/{target}/{unit}", $"../{unit}");
    }

    private static byte[] Resource(string name)
    {
        using Stream stream = typeof(SystemInitramfs).Assembly.GetManifestResourceStream($"Lamina.Cli.Images.Systems.{name}")!;
        using MemoryStream copy = new();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
