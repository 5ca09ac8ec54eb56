using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using Lamina.Vmm.Agent;

namespace Lamina.Vmm.Tests.Agent;

/// <summary>The host's side of a guest's agent, against one that a test plays.</summary>
public sealed class GuestAgentTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-agent").FullName;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    public GuestAgentTests()
    {
        _listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
        _listener.Listen();
    }

    private string SocketPath => Path.Combine(_directory, "guest.sock");

    public void Dispose()
    {
        _listener.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task A_request_has_the_arguments_and_the_environment_byte_for_byte()
    {
        GuestCommandSettings settings = new()
        {
            Arguments = [Encoding.UTF8.GetBytes("cat"), new byte[] { 0xff, 0x20 }],
            Environment = ["HOME=/tmp", "X=1"],
            Terminal = new TerminalWindow(100, 30),
        };
        Task<GuestCommand> start = Task.Run(() => new GuestAgent(SocketPath).Start(settings), TestContext.Current.CancellationToken);
        using Socket control = Accept(AgentProtocol.Port);
        byte[] head = Receive(control, AgentProtocol.RequestLength);
        Assert.Equal("LAX1"u8.ToArray(), head[..4]);
        Assert.Equal([1, 0, 0, 0, 30, 0, 100, 0], head[4..12]);
        int arguments = BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(AgentProtocol.ArgumentsOffset));
        byte[] rest = Receive(control, BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(AgentProtocol.LengthOffset)));
        string[] strings = Encoding.Latin1.GetString(rest).TrimEnd('\0').Split('\0');
        Assert.Equal(strings.Length, arguments + BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(AgentProtocol.EnvironmentOffset)));
        Assert.Equal(["/bin/sh", "-c"], strings[..2]);
        Assert.Equal(["lamina", "/root", "cat", "\u00ff "], strings[3..arguments]);
        Assert.Contains("HOME=/tmp", strings[arguments..]);
        Assert.DoesNotContain("HOME=/root", strings);
        control.Send([5, 0, 0, 0]);
        using Socket stream = Accept(5);
        using GuestCommand command = await start;
        command.Signal(15);
        command.Resize(new TerminalWindow(0x102, 0x304));
        Assert.Equal([1, 0, 0, 0, 15, 0, 0, 0, 2, 0, 0, 0, 4, 3, 2, 1], Receive(control, 16));
        control.Send([0, 7, 0, 0]);
        Assert.Equal(7, await command.Completion);
    }

    [Theory]
    [InlineData(new byte[] { 9, 0, 0, 0 }, 137)]
    [InlineData(new byte[] { 0x8b, 0, 0, 0 }, 139)]
    [InlineData(new byte[] { 0, 255, 0, 0 }, 255)]
    public async Task A_signal_that_ends_a_command_is_in_its_status(byte[] status, int expected)
    {
        Task<GuestCommand> start = Task.Run(() => new GuestAgent(SocketPath).Start(new GuestCommandSettings { Arguments = [new byte[] { 0x61 }] }), TestContext.Current.CancellationToken);
        using Socket control = Accept(AgentProtocol.Port);
        control.Send([5, 0, 0, 0]);
        using Socket output = Accept(5);
        using Socket error = Accept(5);
        using Socket input = Accept(5);
        using GuestCommand command = await start;
        control.Send(status);
        Assert.Equal(expected, await command.Completion);
    }

    [Fact]
    public async Task An_agent_that_goes_away_is_an_error_and_no_status()
    {
        GuestAgent agent = new(SocketPath);
        Task<GuestCommand> start = Task.Run(() => agent.Start(new GuestCommandSettings { Arguments = [new byte[] { 0x61 }], Terminal = default(TerminalWindow) }), TestContext.Current.CancellationToken);
        Socket control = Accept(AgentProtocol.Port);
        control.Dispose();
        await Assert.ThrowsAsync<GuestAgentException>(() => start);

        start = Task.Run(() => agent.Start(new GuestCommandSettings { Arguments = [new byte[] { 0x61 }], Terminal = default(TerminalWindow) }), TestContext.Current.CancellationToken);
        control = Accept(AgentProtocol.Port);
        control.Send([5, 0, 0, 0]);
        using Socket stream = Accept(5);
        using GuestCommand command = await start;
        control.Dispose();
        await Assert.ThrowsAsync<GuestAgentException>(() => command.Completion);
    }

    [Fact]
    public async Task A_machine_that_is_not_there_has_no_agent()
    {
        GuestAgent agent = new(Path.Combine(_directory, "nothing"));
        Assert.False(agent.IsReady());
        Assert.False(await agent.WaitUntilReady(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
        Assert.Throws<GuestAgentException>(() => agent.Start(new GuestCommandSettings { Arguments = [new byte[] { 0x61 }] }));
    }

    [Fact]
    public void Commands_that_cannot_be_given_to_a_program_are_refused()
    {
        Assert.Throws<GuestAgentException>(() => CommandRequest.Create(new GuestCommandSettings { Arguments = [] }));
        Assert.Throws<GuestAgentException>(() => CommandRequest.Create(new GuestCommandSettings { Arguments = [new byte[] { 0x61, 0 }] }));
        Assert.Throws<GuestAgentException>(() => CommandRequest.Create(new GuestCommandSettings { Arguments = [new byte[AgentProtocol.MaximumLength].AsSpan().ToArray()] }));
    }

    private static byte[] Receive(Socket socket, int length)
    {
        byte[] data = new byte[length];
        GuestAgent.ReceiveAll(socket, data);
        return data;
    }

    // Plays the gateway, too.
    private Socket Accept(uint port)
    {
        Socket socket = _listener.Accept();
        byte[] line = Encoding.ASCII.GetBytes($"CONNECT {port}\n");
        Assert.Equal(line, Receive(socket, line.Length));
        socket.Send("OK 1\n"u8);
        return socket;
    }
}
