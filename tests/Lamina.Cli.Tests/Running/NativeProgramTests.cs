using System.Diagnostics;
using Lamina.Boot.Tests.Images;
using Lamina.Kvm;

namespace Lamina.Cli.Tests.Running;

/// <summary>The program that <c>./publish</c> compiles ahead of time boots guests: nothing in it needs a runtime's reflection.</summary>
public sealed class NativeProgramTests
{
    public static TheoryData<string> Accelerators => ["interpreter", "translator", "kvm"];

    [Theory]
    [MemberData(nameof(Accelerators))]
    public void AGuestBootsAndEnds(string accelerator)
    {
        if (accelerator == "kvm" && KvmHost.FindProblem() is { } problem)
        {
            Assert.Skip(problem);
        }

        // mov dx, 3f8h; mov al, 'k'; out dx, al; mov eax, 5; out 0f4h, eax; hlt
        byte[] code = [0x66, 0xba, 0xf8, 0x03, 0xb0, (byte)'k', 0xee, 0xb8, 5, 0, 0, 0, 0xe7, 0xf4, 0xf4];
        string kernel = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(kernel, ElfImageBuilder.Create(code, 0x20_0000));
            (int status, string output) = Run("run", "--kernel", kernel, "--memory", "16M", "--accel", accelerator);
            Assert.Equal("k", output);
            Assert.Equal(5, status);
        }
        finally
        {
            File.Delete(kernel);
        }
    }

    [Fact]
    public void TheHostIsDescribed()
    {
        (int status, string output) = Run("host", "--json");
        Assert.Equal(0, status);
        Assert.Contains("interpreter", output, StringComparison.Ordinal);
    }

    private static (int Status, string Output) Run(params string[] arguments)
    {
        string? program = Find();
        Assert.SkipWhen(program == null, "There is no native program: ./publish makes it, with clang and lld.");
        ProcessStartInfo info = new(program!, arguments) { RedirectStandardOutput = true, RedirectStandardInput = true };
        using Process process = Process.Start(info)!;
        process.StandardInput.Close();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private static string? Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Lamina.slnx")))
            {
                string program = Path.Combine(folder.FullName, "artifacts/native/lamina");
                return File.Exists(program) ? program : null;
            }
        }

        return null;
    }
}
