using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Lamina.Storage.Sharing;

namespace Lamina.Storage.Tests.Sharing;

/// <summary>
/// Messages that no kernel sends: whatever they hold, each is answered by the protocol's rules or not at all, nothing outside of the folder is touched, and the folder is served afterwards.
/// <c>LAMINA_FUZZ_SECONDS</c> makes it longer, <c>LAMINA_FUZZ_SEED</c> repeats a round.
/// </summary>
public sealed class FuseFuzzTests : IDisposable
{
    private const double DefaultSeconds = 2;
    private const int MessagesARound = 300;
    private const ulong Root = 1;
    private const uint SmallNumber = 64;
    private const int AllocateLengthOffset = 16;
    private static readonly FuseOperation[] Operations = Enum.GetValues<FuseOperation>();
    private static readonly string[] Names = ["file", "sub", "out", "up", "new", "..", ".", "", "a/b", "../secret", new('x', 255), new('x', 300), "\u00ff\u00fe"];
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void NothingInAMessageIsTrusted()
    {
        double seconds = double.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ_SECONDS"), CultureInfo.InvariantCulture, out double asked) ? asked : DefaultSeconds;
        int? only = int.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : null;
        int start = only ?? Random.Shared.Next(int.MaxValue / 2);
        int rounds = 0;
        int done = 0;
        int messages = 0;
        long begin = Stopwatch.GetTimestamp();
        do
        {
            int round = start + rounds++;
            try
            {
                done += Play(round);
                messages += MessagesARound;
            }
            catch (Exception e)
            {
                Assert.Fail($"Round LAMINA_FUZZ_SEED={round}: {e}");
            }
        }
        while (only == null && Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds);

        TestContext.Current.SendDiagnosticMessage($"{messages} messages from LAMINA_FUZZ_SEED={start}; {done} of them did something");
        Assert.True(only != null || done > messages / 20, $"Of {messages} messages only {done} did something: the test tests little.");
    }

    // How many messages were answered without an error.
    private int Play(int round)
    {
        Random random = new(round);
        string outside = _directory[$"{round}"];
        string folder = Path.Combine(outside, "shared");
        Directory.CreateDirectory(Path.Combine(folder, "sub"));
        File.WriteAllText(Path.Combine(folder, "file"), "content");
        File.WriteAllText(Path.Combine(outside, "secret"), "secret");
        File.CreateSymbolicLink(Path.Combine(folder, "out"), "../secret");
        Directory.CreateSymbolicLink(Path.Combine(folder, "up"), "..");
        int done = 0;
        using (FuseClient client = new(folder, readOnly: random.Next(4) == 0))
        {
            // Some nodes and handles that are right.
            client.Lookup(Root, "file");
            client.Lookup(Root, "sub");
            client.Open(client.Lookup(Root, "file").Node, 2);
            for (int i = 0; i < MessagesARound; i++)
            {
                byte[] message = Make(random);
                byte[] answer = client.SendRaw(message, random.Next(4) switch { 0 => 0, 1 => 16 + random.Next(200), _ => 1 << 17 });
                if (answer.Length > 0)
                {
                    Assert.Equal(answer.Length, BinaryPrimitives.ReadInt32LittleEndian(answer));
                    Assert.True(answer.AsSpan(8, 8).SequenceEqual(message.AsSpan(8, 8)), "An answer has another message's number.");
                    int error = -BinaryPrimitives.ReadInt32LittleEndian(answer.AsSpan(4));
                    Assert.InRange(error, 0, 4095);
                    done += error == 0 ? 1 : 0;
                }
            }

            // Still of use, to a kernel that begins anew.
            client.Send(FuseOperation.Destroy, 0);
            Assert.Equal(0, client.Send(FuseOperation.GetAttributes, Root, new byte[16]).Error);
        }

        Assert.Equal(["secret", "shared"], Directory.EnumerateFileSystemEntries(outside).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal("secret", File.ReadAllText(Path.Combine(outside, "secret")));

        // Names that are no UTF-8 are beyond .NET.
        using Process remove = Process.Start("rm", ["-rf", outside]);
        remove.WaitForExit();
        return done;
    }

    private static byte[] Make(Random random)
    {
        FuseOperation operation = random.Next(10) == 0 ? (FuseOperation)random.Next(70) : Operations[random.Next(Operations.Length)];
        List<byte> arguments = [];
        for (int parts = random.Next(6); parts > 0; parts--)
        {
            switch (random.Next(4))
            {
                case 0:
                    arguments.AddRange(Encoding.Latin1.GetBytes(Names[random.Next(Names.Length)]));
                    if (random.Next(8) != 0)
                    {
                        arguments.Add(0);
                    }

                    break;
                case 1:
                    arguments.AddRange(BitConverter.GetBytes(random.Next(3) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(20)));
                    break;
                case 2:
                    arguments.AddRange(BitConverter.GetBytes(random.Next(3) == 0 ? (uint)random.Next() : (uint)random.Next(4)));
                    break;
                default:
                    byte[] noise = new byte[random.Next(200)];
                    random.NextBytes(noise);
                    arguments.AddRange(noise);
                    break;
            }
        }

        byte[] body = [.. arguments];
        if (operation == FuseOperation.Allocate && body.Length >= AllocateLengthOffset + sizeof(ulong))
        {
            // The host's disk is not to be filled.
            BinaryPrimitives.WriteUInt64LittleEndian(body.AsSpan(AllocateLengthOffset), SmallNumber);
        }

        byte[] message = new byte[40 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(message, random.Next(8) == 0 ? random.Next() : message.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), (uint)operation);
        BinaryPrimitives.WriteInt64LittleEndian(message.AsSpan(8), random.NextInt64());
        BinaryPrimitives.WriteUInt64LittleEndian(message.AsSpan(16), random.Next(8) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(1, 8));
        body.CopyTo(message, 40);
        return random.Next(30) == 0 ? message[..random.Next(message.Length)] : message;
    }
}
