using Lamina.Boot.Initramfs;
using Lamina.Cli;
using Lamina.Cli.Tools;

namespace Lamina.Bench.Basket;

/// <summary>The program in <c>bench/guest</c>: built with the host's compiler, statically, so that the same file runs here and as a guest's first process.</summary>
internal static class GuestProgram
{
    private const string Compiler = "gcc";
    private const int Executable = 0b111_101_101;
    private static readonly string[] Flags = ["-std=gnu17", "-static", "-no-pie", "-fno-pie", "-O2", "-march=x86-64", "-Wall", "-Wextra", "-Wno-missing-field-initializers"];

    /// <summary>Builds it.</summary>
    public static void Build(ToolRunner tools, string path)
    {
        if (!tools.Exists(Compiler))
        {
            throw new LaminaException("the basket is built with gcc and the static C library (Debian: apt-get install gcc libc6-dev), and there is no gcc on the path.");
        }

        string[] sources = Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "guest"), "*.c");
        Array.Sort(sources, StringComparer.Ordinal);
        ToolResult result = tools.Run(Compiler, [.. Flags, "-o", path, .. sources], null, null, CancellationToken.None);
        if (!result.Succeeded)
        {
            throw new LaminaException($"gcc does not build the basket: {result.Error}");
        }
    }

    /// <summary>An initramfs with the program as the first process, and BusyBox.</summary>
    public static void WriteInitramfs(string path, string program, string busyBox)
    {
        using FileStream archive = File.Create(path);
        using CpioWriter writer = new(archive);
        foreach (string directory in (string[])["bin", "dev", "proc", "work"])
        {
            writer.AddDirectory(directory);
        }

        writer.AddCharacterDevice("dev/console", 5, 1);
        writer.AddFile("bin/busybox", File.ReadAllBytes(busyBox), Executable);
        writer.AddFile("init", File.ReadAllBytes(program), Executable);
        writer.Finish();
    }
}
