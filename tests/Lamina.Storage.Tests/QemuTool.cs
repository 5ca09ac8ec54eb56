using System.Diagnostics;

namespace Lamina.Storage.Tests;

/// <summary>QEMU's programs for images, which judge ours.</summary>
internal static class QemuTool
{
    public static (int Status, string Output) Run(string program, params string[] arguments)
    {
        string path = Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin";
        Assert.SkipUnless(path.Split(':').Any(d => File.Exists(Path.Combine(d, program))), $"'{program}' is not installed (package qemu-utils).");
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }

    /// <summary>Runs it and fails the test if it fails.</summary>
    public static string Check(string program, params string[] arguments)
    {
        (int status, string output) = Run(program, arguments);
        Assert.True(status == 0, $"{program} {string.Join(' ', arguments)}: status {status}\n{output}");
        return output;
    }
}
