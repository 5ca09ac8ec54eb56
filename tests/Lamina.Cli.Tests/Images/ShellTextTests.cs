using System.Diagnostics;
using System.Text;
using Lamina.Cli.Images;
using Lamina.Cli.Images.Debian;

namespace Lamina.Cli.Tests.Images;

public sealed class ShellTextTests
{
    [Fact]
    public void A_shell_takes_the_words_byte_for_byte()
    {
        byte[][] words = ["printf"u8.ToArray(), "%s|"u8.ToArray(), "a b"u8.ToArray(), "it's"u8.ToArray(), "''"u8.ToArray(), "$HOME `id` \\ \" * \n\t!"u8.ToArray(), [], [0xff, 0x80]];
        byte[] script = ShellText.CreateCommandScript(Array.ConvertAll(words, w => (ReadOnlyMemory<byte>)w), "\"$@\"\n"u8);
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, script);
            using Process shell = Process.Start(new ProcessStartInfo("/bin/sh", [path]) { RedirectStandardOutput = true })!;
            using MemoryStream output = new();
            shell.StandardOutput.BaseStream.CopyTo(output);
            shell.WaitForExit();
            Assert.Equal([.. words[2..].SelectMany(w => w.Append((byte)'|'))], output.ToArray());
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("xterm-256color", "xterm-256color")]
    [InlineData("$(reboot)", "vt100")]
    [InlineData("", "vt100")]
    public void A_session_is_described_for_a_shell(string type, string expected)
    {
        ImageSession session = new() { Mode = SessionMode.Typed, HostName = "box", Rows = 50, Columns = 132, TerminalType = type };
        Assert.Equal($"mode=typed\nname=box\nrows=50\ncolumns=132\nterm={expected}\nconsole=ttyS0\nnetwork=no\n", DebianInitramfs.Describe(session));
    }

    [Fact]
    public void The_scripts_of_the_image_are_shell()
    {
        foreach (string name in new[] { "init.sh", "profile.sh", "command.sh" })
        {
            using Stream script = typeof(DebianInitramfs).Assembly.GetManifestResourceStream($"Lamina.Cli.Images.Debian.{name}")!;
            using Process shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-n"]) { RedirectStandardInput = true, RedirectStandardError = true })!;
            script.CopyTo(shell.StandardInput.BaseStream);
            shell.StandardInput.Close();
            Assert.Equal("", shell.StandardError.ReadToEnd());
            shell.WaitForExit();
            Assert.Equal(0, shell.ExitCode);
        }
    }

    [Fact]
    public void Text_is_utf8() => Assert.Equal("'é'"u8.ToArray(), Quote("é"));

    private static byte[] Quote(string word)
    {
        List<byte> text = [];
        ShellText.AppendQuoted(text, Encoding.UTF8.GetBytes(word));
        return [.. text];
    }
}
