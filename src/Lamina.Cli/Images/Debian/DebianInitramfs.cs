using System.Text;
using Lamina.Boot.Initramfs;
using Lamina.Cli.Arguments;
using Lamina.Cli.Images.Agent;
using Lamina.Cli.Images.Packages;

namespace Lamina.Cli.Images.Debian;

/// <summary>Builds the image's root file system: BusyBox, its commands, and this session's first process.</summary>
internal static class DebianInitramfs
{
    private const int Executable = 0b111_101_101;
    private static readonly string[] Directories =
        ["bin", "dev", "etc", "home", "lamina", "lamina/modules", "mnt", "proc", "root", "run", "sys", "usr", "var", "var/log"];

    /// <summary>Builds it.</summary>
    public static byte[] Build(CachedPackageSet files, IReadOnlyList<string> modules, ImageSession session)
    {
        using MemoryStream archive = new(4 << 20);
        using (CpioWriter writer = new(archive))
        {
            foreach (string directory in Directories)
            {
                writer.AddDirectory(directory);
            }

            writer.AddDirectory("tmp", 0b001_111_111_111);
            writer.AddCharacterDevice("dev/console", 5, 1);
            writer.AddCharacterDevice("dev/null", 1, 3, 0b110_110_110);
            writer.AddSymbolicLink("sbin", "bin");
            writer.AddSymbolicLink("usr/bin", "../bin");
            writer.AddSymbolicLink("usr/sbin", "../bin");
            AddBusyBox(writer, files);
            AddModules(writer, files, modules);
            AddSettings(writer, files, session);
            writer.AddFile("init", Resource("init.sh"), Executable);
            writer.AddFile("lamina/session", Encoding.UTF8.GetBytes(Describe(session)));
            if (session.Hardware.HasFlag(GuestHardware.Network))
            {
                writer.AddFile("lamina/lease", Resource("lease.sh"), Executable);
            }

            if (session.Hardware.HasFlag(GuestHardware.Socket))
            {
                writer.AddFile("lamina/agent", AgentProgram.Create(), Executable);
            }

            if (session.Hardware.HasFlag(GuestHardware.Screen))
            {
                writer.AddFile("lamina/screen", Resource("screen.sh"), Executable);
            }

            if (session.Shares.Count > 0)
            {
                writer.AddFile("lamina/shares", ShareArgument.Describe(session.Shares));
            }

            if (session.Mode != SessionMode.Command)
            {
                writer.AddFile("lamina/shell", Resource("shell.sh"), Executable);
            }
            else
            {
                writer.AddFile("lamina/command", ShellText.CreateCommandScript(session.Command, Resource("command.sh")), Executable);
            }

            writer.Finish();
        }

        return archive.ToArray();
    }

    /// <summary>The session as assignments that a shell reads.</summary>
    internal static string Describe(ImageSession session)
    {
        bool plainType = session.TerminalType.Length is > 0 and < 32 && session.TerminalType.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '+' or '.');
        string mode = session.Mode switch
        {
            SessionMode.Terminal => "terminal",
            SessionMode.Typed => "typed",
            _ => "command",
        };
        return string.Create(null, $"mode={mode}\nname={session.HostName}\nrows={session.Rows}\ncolumns={session.Columns}\nterm={(plainType ? session.TerminalType : "vt100")}\nconsole={(session.Hardware.HasFlag(GuestHardware.Console) ? "hvc0" : "ttyS0")}\nnetwork={(session.Hardware.HasFlag(GuestHardware.Network) ? "yes" : "no")}\n");
    }

    private static void AddBusyBox(CpioWriter writer, CachedPackageSet files)
    {
        writer.AddFile("bin/busybox", File.ReadAllBytes(files.GetPath(DebianImage.BusyBox)), Executable);
        foreach (string applet in File.ReadLines(files.GetPath(DebianImage.Applets)))
        {
            if (applet != "busybox")
            {
                writer.AddSymbolicLink($"bin/{applet}", "busybox");
            }
        }
    }

    private static void AddModules(CpioWriter writer, CachedPackageSet files, IReadOnlyList<string> modules)
    {
        for (int i = 0; i < modules.Count; i++)
        {
            string path = files.GetPath(KernelModules.GetStoredName(modules[i]));
            if (File.Exists(path))
            {
                writer.AddFile($"lamina/modules/{i:d2}-{Path.GetFileName(path)}", File.ReadAllBytes(path));
            }
        }
    }

    private static void AddSettings(CpioWriter writer, CachedPackageSet files, ImageSession session)
    {
        string kernel = files.Packages[0].Name.Replace("linux-image-", "", StringComparison.Ordinal);
        Add("etc/profile", Resource("profile.sh"));
        AddText("etc/motd", $"\nThis is Lamina with Debian's kernel {kernel} and BusyBox, all in memory.\nLeave with 'exit', which switches the machine off.\n\n");
        AddText("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n");
        AddText("etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n");
        AddText("etc/shells", "/bin/sh\n");
        AddText("etc/hostname", $"{session.HostName}\n");
        AddText("etc/hosts", $"127.0.0.1 localhost {session.HostName}\n::1 localhost\n");

        void AddText(string path, string text) => Add(path, Encoding.UTF8.GetBytes(text));

        void Add(string path, byte[] content) => writer.AddFile(path, content);
    }

    internal static byte[] Resource(string name)
    {
        using Stream stream = typeof(DebianInitramfs).Assembly.GetManifestResourceStream($"Lamina.Cli.Images.Debian.{name}")!;
        using MemoryStream copy = new();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
