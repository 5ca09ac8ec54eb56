using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using Lamina.Cli.Control;
using Lamina.Cli.Control.Verbs;
using Lamina.Cli.Inspection;
using Lamina.Cli.Isolation;
using Lamina.Fuzz;
using Lamina.Management.Protocol;
using Lamina.SoftCpu;
using Lamina.Vmm;

namespace Lamina.Cli.Tests.Control;

/// <summary>
/// Requests of every verb, changed anywhere, to a machine that runs: each is done or refused with a reason, or its connection is closed. None is a mistake of ours (the error "internal"), and the machine
/// answers afterwards. Left out are the verbs that end it or wait for the guest, and what a snapshot would write.
/// </summary>
public sealed class ControlFuzzTests : IDisposable
{
    private const int PatienceMilliseconds = 30000;
    private static readonly string[] LeftOut = [ControlVerbs.Stop, ControlVerbs.Kill, ControlVerbs.Snapshot, ControlVerbs.Key];
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-control").FullName;
    private readonly VirtualMachine _machine;
    private readonly ControlServer _server;
    private readonly JsonObject[] _requests;

    public ControlFuzzTests()
    {
        string disk = Path.Combine(_directory, "disk");
        string other = Path.Combine(_directory, "other");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        File.WriteAllBytes(other, new byte[1 << 20]);
        _machine = new VirtualMachine(new MachineSettings
        {
            Accelerator = new InterpreterAccelerator(),
            MemorySize = 16 << 20,
            Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create([0xf4, 0xeb, 0xfd], 0x20_0000), "kernel") },
            Disks = [new DiskSettings { Path = disk, Format = Lamina.Storage.DiskFormat.Raw }],
        });
        _machine.Start();
        ControlledMachine controlled = new()
        {
            Machine = _machine,
            Name = "fuzzed",
            Source = "test",
            IsDetached = false,
            Console = new ConsoleHub(),
            Resize = static (_, _) => { },
            AskToPowerOff = static () => { },
            CreateLabels = static () => [],
            Translations = new TranslationSummary(),
            Sandbox = new Sandbox(new SandboxNeeds()),
            Quit = static () => { },
        };
        _server = new ControlServer(Path.Combine(_directory, "control"), VerbCatalog.Create(controlled).Where(static v => !LeftOut.Contains(v.Name)));
        _requests =
        [
            Request(ControlVerbs.Status, "{}"),
            Request(ControlVerbs.Statistics, "{}"),
            Request(ControlVerbs.Pause, "{}"),
            Request(ControlVerbs.Resume, """{"accelerator":"interpreter"}"""),
            Request(ControlVerbs.Console, """{"scrollback":4096,"readOnly":true}"""),
            Request(ControlVerbs.Logs, """{"follow":false}"""),
            Request(ControlVerbs.Resize, """{"columns":80,"rows":25}"""),
            Request(ControlVerbs.Agent, "{}"),
            Request(ControlVerbs.Devices, "{}"),
            Request(ControlVerbs.Screenshot, "{}"),
            Request(ControlVerbs.Attach, $$"""{"disk":"{{other}},format=raw,ro=on,iops=5","publish":[],"files":[]}"""),
            Request(ControlVerbs.Attach, $$"""{"disk":"{{other}}","files":[{"path":"{{other}}","writable":true,"direct":false}]}"""),
            Request(ControlVerbs.Attach, """{"network":"none,pps=5,bps=1M","publish":["127.0.0.1:0:80"]}"""),
            Request(ControlVerbs.Detach, """{"device":"disk1","timeoutSeconds":0}"""),
            Request(ControlVerbs.ResizeDisk, """{"device":"disk0","bytes":1048576}"""),
            Request(ControlVerbs.Memory, """{"bytes":33554432}"""),
            Request(ControlVerbs.Limit, """{"device":"disk0","limits":{"operationsPerSecond":5,"bytesPerSecond":4096,"burstMilliseconds":100}}"""),
        ];
    }

    public void Dispose()
    {
        _server.Dispose();
        _machine.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void Whatever_is_asked_is_done_or_refused_and_the_machine_answers_afterwards()
    {
        FuzzLoop.Run("control", random =>
        {
            for (int i = 0; i < 20; i++)
            {
                byte[] request = Encoding.UTF8.GetBytes(Change(random, (JsonObject)_requests[random.Next(_requests.Length)].DeepClone()).ToJsonString());
                request = random.Next(3) == 0 ? FuzzValues.Mutate(random, request) : request;
                if (Ask(request) is not { } answer)
                {
                    continue;
                }

                using JsonDocument response = JsonDocument.Parse(answer);
                bool wrong = !response.RootElement.GetProperty("ok").GetBoolean() && response.RootElement.GetProperty("error").GetProperty("code").GetString() == ControlErrors.Internal;
                Assert.False(wrong, $"{Encoding.UTF8.GetString(request)} was answered by {answer}");
            }

            Assert.Contains("\"ok\":true", Ask(Encoding.UTF8.GetBytes(_requests[0].ToJsonString())) ?? "", StringComparison.Ordinal);
        });
    }

    private static JsonObject Request(string verb, string arguments) => new() { ["version"] = 1, ["id"] = 7, ["verb"] = verb, ["arguments"] = JsonNode.Parse(arguments) };

    // Puts another value in a place, or takes it away, now and then.
    private static JsonObject Change(Random random, JsonObject node)
    {
        foreach (string name in node.Select(static p => p.Key).ToArray())
        {
            if (node[name] is JsonObject inner)
            {
                Change(random, inner);
            }
            else if (node[name] is JsonArray { Count: > 0 } list && list[0] is JsonObject first)
            {
                Change(random, first);
            }

            switch (random.Next(10))
            {
                case 0:
                    node[name] = Value(random);
                    break;
                case 1 when name != "timeoutSeconds":
                    // Without a time, the guest is waited for.
                    node.Remove(name);
                    break;
            }
        }

        return node;
    }

    private static JsonNode? Value(Random random) => random.Next(8) switch
    {
        0 => null,
        1 => (JsonNode)random.NextInt64(),
        2 => (JsonNode)(-random.Next()),
        3 => (JsonNode)random.NextDouble(),
        4 => (JsonNode)(random.Next(2) == 0),
        5 => (JsonNode)new string((char)random.Next(1, 0xd800), random.Next(40)),
        6 => new JsonArray(null, new JsonObject()),
        _ => new JsonObject(),
    };

    // The first line of the answer; null if the connection was closed without one.
    private string? Ask(ReadOnlySpan<byte> request)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.ReceiveTimeout = PatienceMilliseconds;
        socket.Connect(new UnixDomainSocketEndPoint(Path.Combine(_directory, "control")));
        List<byte> line = [];
        byte[] one = new byte[1];
        try
        {
            socket.Send([.. request, (byte)'\n']);
            socket.Shutdown(SocketShutdown.Send);
            while (socket.Receive(one) == 1)
            {
                if (one[0] == (byte)'\n')
                {
                    return Encoding.UTF8.GetString([.. line]);
                }

                line.Add(one[0]);
            }
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.Shutdown or SocketError.ConnectionReset or SocketError.NotConnected)
        {
            // A line that ends within the request may have been enough for that.
        }

        return null;
    }
}
