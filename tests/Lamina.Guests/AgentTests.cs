using System.Security.Cryptography;
using System.Text;
using Lamina.Cli.Images;
using Lamina.Guests.Machines;
using Lamina.Vmm;
using Lamina.Vmm.Agent;

namespace Lamina.Guests;

/// <summary>The agent in the guest: commands with pipes and with a terminal, several at once, one after another, ended and left.</summary>
public sealed class AgentTests : IDisposable
{
    private const int Interrupt = 2;
    private const int Terminate = 15;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-agent").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("translator")]
    public async Task Commands_get_their_streams_signals_window_and_status(string accelerator)
    {
        SocketSettings sockets = new() { Address = 3, Path = Path.Combine(_directory, "guest.sock") };
        using GuestMachine guest = GuestMachine.StartDebian(accelerator, 2, GuestHardware.Socket, s => s with { Sockets = sockets });
        guest.ExpectPrompt();
        GuestAgent agent = new(sockets.Path);
        Assert.True(await agent.WaitUntilReady(Patience, TestContext.Current.CancellationToken), "The agent does not answer.");

        // Streams, arguments and status, byte for byte.
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        Check(0, content, [], await Run(agent, content, "cat"));
        Check(3, "a b\n\"'\n/tmp x"u8.ToArray(), "oops"u8.ToArray(), await Run(agent, [], new GuestCommandSettings
        {
            Arguments = Encode("sh", "-c", "printf '%s\\n' \"$@\"; printf '%s %s' \"$PWD\" \"$WORD\"; printf oops >&2; exit 3", "sh", "a b", "\"'"),
            WorkingDirectory = "/tmp",
            Environment = ["WORD=x"],
        }));
        (int status, _, byte[] error) = await Run(agent, [], "no-such-command");
        Assert.Equal(127, status);
        Assert.Contains("there is no command 'no-such-command'", Encoding.UTF8.GetString(error), StringComparison.Ordinal);

        // Many at once: each its own.
        Task<(int Status, byte[] Output, byte[] Error)>[] several = [.. Enumerable.Range(0, 8).Select(i => Run(agent, Encoding.ASCII.GetBytes($"{i}"), "sh", "-c", $"cat; exit {i}"))];
        for (int i = 0; i < several.Length; i++)
        {
            Check(i, Encoding.ASCII.GetBytes($"{i}"), [], await several[i]);
        }

        // What a command leaves behind does not keep it from ending, and is left alone.
        Check(0, "begun\n"u8.ToArray(), [], await Run(agent, [], "sh", "-c", "sleep 1000 & echo begun"));
        Assert.Equal("1", guest.Run("pidof sleep | wc -w"));

        // A signal reaches the command and its children.
        using (GuestCommand command = agent.Start(new GuestCommandSettings { Arguments = Encode("sh", "-c", "echo ready; sleep 2000; echo never") }))
        {
            Assert.Equal("ready", await ReadLine(command.Output));
            command.Signal(Terminate);
            Assert.Equal(128 + Terminate, await command.Completion.WaitAsync(Patience, TestContext.Current.CancellationToken));
        }

        await CheckTerminal(agent);

        // Whoever asked goes away: the command is told, and ends.
        using (GuestCommand command = agent.Start(new GuestCommandSettings { Arguments = Encode("sh", "-c", "trap 'echo gone >/tmp/gone; exit' HUP; echo ready; while :; do sleep 0.1; done") }))
        {
            Assert.Equal("ready", await ReadLine(command.Output));
        }

        Assert.Equal("gone", guest.Run("until [ -s /tmp/gone ]; do sleep 0.1; done; cat /tmp/gone"));
        Assert.Equal("alone", guest.Run("until [ \"$(pidof agent | wc -w)\" = 1 ]; do sleep 0.1; done; echo alone"));

        // The machine ends under a command.
        using GuestCommand last = agent.Start(new GuestCommandSettings { Arguments = Encode("sleep", "3000") });
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        guest.Dispose();
        await Assert.ThrowsAsync<GuestAgentException>(() => last.Completion.WaitAsync(Patience, TestContext.Current.CancellationToken));
        Assert.False(agent.IsReady());
    }

    private static async Task CheckTerminal(GuestAgent agent)
    {
        using GuestCommand command = agent.Start(new GuestCommandSettings
        {
            Arguments = Encode("sh", "-c", "tty >&2; trap 'stty size' WINCH; trap 'echo interrupted; exit 5' INT; stty size; while :; do sleep 0.1; done"),
            Terminal = new TerminalWindow(100, 30),
        });
        Assert.StartsWith("/dev/pts/", await ReadLine(command.Output), StringComparison.Ordinal);
        Assert.Equal("30 100", await ReadLine(command.Output));
        command.Resize(new TerminalWindow(120, 40));
        Assert.Equal("40 120", await ReadLine(command.Output));

        // Ctrl-C, as a person types it.
        await command.Input.WriteAsync(new byte[] { 3 }, TestContext.Current.CancellationToken);
        string rest = await new StreamReader(command.Output).ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Contains("interrupted", rest, StringComparison.Ordinal);
        Assert.Equal(5, await command.Completion.WaitAsync(Patience, TestContext.Current.CancellationToken));
        command.Signal(Interrupt);
    }

    private static void Check(int status, byte[] output, byte[] error, (int Status, byte[] Output, byte[] Error) result)
    {
        Assert.Equal(Encoding.Latin1.GetString(error), Encoding.Latin1.GetString(result.Error));
        Assert.Equal(status, result.Status);
        Assert.Equal(output, result.Output);
    }

    private static IReadOnlyList<ReadOnlyMemory<byte>> Encode(params string[] words) => [.. words.Select(w => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(w))];

    private static Task<(int Status, byte[] Output, byte[] Error)> Run(GuestAgent agent, byte[] input, params string[] words) => Run(agent, input, new GuestCommandSettings { Arguments = Encode(words) });

    private static async Task<(int Status, byte[] Output, byte[] Error)> Run(GuestAgent agent, byte[] input, GuestCommandSettings settings)
    {
        using GuestCommand command = agent.Start(settings);
        Task write = Task.Run(async () =>
        {
            await command.Input.WriteAsync(input);
            command.EndInput();
        });
        Task<byte[]> error = ReadAll(command.Error);
        byte[] output = await ReadAll(command.Output);
        int status = await command.Completion.WaitAsync(Patience, TestContext.Current.CancellationToken);
        await write;
        return (status, output, await error);
    }

    private static async Task<byte[]> ReadAll(Stream stream)
    {
        using MemoryStream content = new();
        await stream.CopyToAsync(content, TestContext.Current.CancellationToken);
        return content.ToArray();
    }

    private static async Task<string> ReadLine(Stream stream)
    {
        StringBuilder line = new();
        byte[] next = new byte[1];
        while (await stream.ReadAsync(next, TestContext.Current.CancellationToken) == 1 && next[0] != '\n')
        {
            line.Append((char)next[0]);
        }

        return line.ToString().TrimEnd('\r');
    }
}
