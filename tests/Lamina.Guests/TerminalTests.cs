using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>
/// The program on a terminal, which script(1) makes. A shell on it prints the terminal's settings before and after; whatever ends lamina, they must be the same.
/// </summary>
public sealed class TerminalTests : IDisposable
{
    private const string CtrlA = "\u0001";
    private readonly string _kernel = Path.GetTempFileName();

    public TerminalTests()
    {
        File.WriteAllBytes(_kernel, TinyKernel.Build(TinyKernel.Echo));
    }

    public void Dispose() => File.Delete(_kernel);

    [Fact]
    public void Ctrl_A_x_ends_the_machine_and_restores_the_terminal()
    {
        using Terminal terminal = StartEcho();
        terminal.Type("HAL");
        terminal.Expect("IBM");
        terminal.Type($"{CtrlA}x");
        terminal.ExpectEnd(0);
    }

    [Fact]
    public void Ctrl_C_and_Ctrl_A_go_to_the_guest()
    {
        using Terminal terminal = StartEcho();
        terminal.Type($"\u0003{CtrlA}{CtrlA}");
        terminal.Expect("\u0004\u0002");
        terminal.Type($"{CtrlA}x");
        terminal.ExpectEnd(0);
    }

    [Fact]
    public void Ctrl_A_h_shows_the_keys()
    {
        using Terminal terminal = StartEcho();
        terminal.Type($"{CtrlA}h");
        terminal.Expect("Ctrl-A x       end the machine at once\r\n");
        terminal.Type($"{CtrlA}x");
        terminal.ExpectEnd(0);
    }

    [Theory]
    [InlineData("TERM", 143)]
    [InlineData("HUP", 129)]
    [InlineData("INT", 130)]
    public void A_signal_ends_the_machine_and_restores_the_terminal(string signal, int status)
    {
        using Terminal terminal = StartEcho();
        terminal.Type("A");
        terminal.Expect("B");
        terminal.Signal(signal);
        terminal.ExpectEnd(status);
    }

    [Fact]
    public void A_crash_of_the_guest_restores_the_terminal()
    {
        File.WriteAllBytes(_kernel, TinyKernel.Build(TinyKernel.TripleFault));
        using Terminal terminal = new(_kernel, "--on-reboot exit");
        terminal.ExpectEnd(134);
    }

    private Terminal StartEcho()
    {
        Terminal terminal = new(_kernel, "");
        terminal.Expect(">");
        return terminal;
    }

    /// <summary>A shell on a terminal of its own, in which lamina runs.</summary>
    private sealed class Terminal : IDisposable
    {
        private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
        private readonly Process _script;
        private readonly StringBuilder _output = new();
        private readonly string _processFile = Path.GetTempFileName();

        public Terminal(string kernel, string options)
        {
            string lamina = $"dotnet exec '{LaminaProcess.Program}' run --memory 16M {options} --kernel '{kernel}'";
            // "exec" in a subshell, so that the number written is lamina's own.
            string shell = $"stty -g; sh -c 'echo $$ >{_processFile}; exec {lamina.Replace("'", "", StringComparison.Ordinal)}'; echo status=$?; stty -g";
            _script = Process.Start(new ProcessStartInfo("script", ["-qec", shell, "/dev/null"])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                StandardOutputEncoding = Encoding.Latin1,
            })!;
            Task.Run(Read);
            Before = Expect(@"^(\S+:\S+)\r\n").Groups[1].Value;
        }

        private string Before { get; }

        public void Type(string keys)
        {
            _script.StandardInput.Write(keys);
            _script.StandardInput.Flush();
        }

        public void Signal(string name)
        {
            using Process kill = Process.Start("kill", [$"-{name}", File.ReadAllText(_processFile).Trim()]);
            kill.WaitForExit();
        }

        public Match Expect(string pattern)
        {
            Match match = Match.Empty;
            bool found = SpinWait.SpinUntil(
                () =>
                {
                    lock (_output)
                    {
                        match = Regex.Match(_output.ToString(), pattern);
                        if (match.Success)
                        {
                            _output.Remove(0, match.Index + match.Length);
                        }

                        return match.Success;
                    }
                },
                Patience);
            Assert.True(found, $"'{pattern}' did not come. There is: {_output}");
            return match;
        }

        public void ExpectEnd(int status)
        {
            Match end = Expect(@"status=(\d+)\r\n(\S+)\r\n");
            Assert.Equal($"{status}", end.Groups[1].Value);
            Assert.Equal(Before, end.Groups[2].Value);
        }

        public void Dispose()
        {
            if (!_script.HasExited)
            {
                _script.Kill(entireProcessTree: true);
            }

            _script.Dispose();
            File.Delete(_processFile);
        }

        private void Read()
        {
            char[] buffer = new char[4096];
            int count;
            while ((count = _script.StandardOutput.Read(buffer)) > 0)
            {
                lock (_output)
                {
                    _output.Append(buffer, 0, count);
                }
            }
        }
    }
}
