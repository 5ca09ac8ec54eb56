using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary><c>lamina run debian</c> as a process: what goes in, what comes out, and the exit status.</summary>
public sealed class RunDebianTests
{
    public RunDebianTests()
    {
        GuestImages.Get(DebianImage.Cloud);
    }

    [Fact]
    public void Without_input_it_boots_and_powers_off()
    {
        LaminaResult result = LaminaProcess.Run(null, "run", "debian");
        Assert.Equal(0, result.Status);
        Assert.Equal("", result.Error);
        Assert.Contains("Linux version 6.", result.Text, StringComparison.Ordinal);
        Assert.Contains("root@lamina:~# ", result.Text, StringComparison.Ordinal);
        Assert.Contains("reboot: Power down", result.Text, StringComparison.Ordinal);
        Assert.DoesNotContain('\r', result.Text);
    }

    [Fact]
    public void A_pipe_is_typed_in_and_nothing_is_lost()
    {
        // Programs read what is typed after them; a line is longer than a terminal's; the last is not finished.
        string longLine = new('x', 10000);
        StringBuilder typed = new("read word\nalpha\necho \"got $word\"\nwc -c\n");
        typed.Append(longLine).Append('\n');
        for (int i = 0; i < 500; i++)
        {
            typed.Append(CultureInfo.InvariantCulture, $"line {i}\n");
        }

        typed.Append('\u0004').Append("echo the end");
        LaminaResult result = LaminaProcess.Run(Encoding.ASCII.GetBytes(typed.ToString()), "run", "--name", "box", "debian");
        Assert.Equal(0, result.Status);
        Assert.Contains("got alpha", result.Text, StringComparison.Ordinal);
        int bytes = longLine.Length + 1 + Enumerable.Range(0, 500).Sum(i => $"line {i}\n".Length);
        Assert.Contains($"\n{bytes}\n", result.Text, StringComparison.Ordinal);
        Assert.Contains("root@box:~# echo the end\nthe end\n", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_command_gives_its_output_and_status()
    {
        LaminaResult result = LaminaProcess.Run(null, "run", "debian", "--", "sh", "-c", "printf 'out\\r\\n\\000'; echo err >&2; sleep 1000 & exit 7");
        Assert.Equal("out\r\n\0", result.Text);
        Assert.Equal("err\n", result.Error);
        Assert.Equal(7, result.Status);
    }

    [Fact]
    public void A_command_gets_its_arguments_as_they_are()
    {
        string[] arguments = ["a b", "", "it's", "\"$HOME\"", "`id`", "*", "back\\slash", "new\nline", "-x", "é"];
        LaminaResult result = LaminaProcess.Run(null, ["run", "debian", "--", "printf", "%s|", .. arguments]);
        Assert.Equal(string.Concat(arguments.Select(a => a + "|")), result.Text);
        Assert.Equal(0, result.Status);
    }

    [Fact]
    public void A_command_gets_standard_input()
    {
        byte[] input = new byte[200_000];
        new Random(1).NextBytes(input);
        LaminaResult result = LaminaProcess.Run(input, "run", "debian", "--", "sha256sum");
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(input)) + "  -\n", result.Text);
    }

    [Fact]
    public void A_command_that_does_not_exist_is_status_127()
    {
        LaminaResult result = LaminaProcess.Run(null, "run", "debian", "--", "frobnicate");
        Assert.Equal(127, result.Status);
        Assert.Equal("lamina: there is no command 'frobnicate' in this image\n", result.Error);
    }

    [Fact]
    public void A_panic_is_status_134()
    {
        LaminaResult result = LaminaProcess.Run(null, "run", "debian", "--", "sh", "-c", "echo c >/proc/sysrq-trigger");
        Assert.Equal(134, result.Status);
        Assert.Contains("lamina: the guest crashed: ", result.Error, StringComparison.Ordinal);
        Assert.Contains("Kernel panic - not syncing: sysrq triggered crash", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_panic_before_the_first_process_is_status_134()
    {
        LaminaResult result = LaminaProcess.Run(null, "run", "--append", "rdinit=/nothing root=/dev/nothing", "debian");
        Assert.Equal(134, result.Status);
        Assert.Contains("lamina: the guest crashed: kernel panic: ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_console_goes_to_a_file()
    {
        string path = Path.GetTempFileName();
        try
        {
            LaminaResult result = LaminaProcess.Run("echo hello\n"u8.ToArray(), "run", "--serial", $"file={path}", "--on-reboot", "exit", "debian");
            Assert.Equal((0, "", ""), (result.Status, result.Text, result.Error));
            Assert.Contains("Power down", File.ReadAllText(path), StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
