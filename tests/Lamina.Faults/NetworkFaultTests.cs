using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Lamina.Interop;
using Lamina.Interop.Faults;
using Lamina.Interop.Isolation;
using Lamina.Interop.Networks;
using Lamina.Machine.Backends;
using Lamina.Networking;

namespace Lamina.Faults;

/// <summary>Each call that a network makes is refused: to begin with, that is named and leaves nothing behind; later it costs a packet, or the guest's link goes down and that is told.</summary>
public sealed unsafe class NetworkFaultTests
{
    private const int Interrupted = 4;
    private const int InputOutput = 5;
    private const int TryAgain = 11;
    private const int OutOfMemory = 12;
    private const int TooManyFiles = 24;
    private const int NoBuffers = 105;
    private const uint Tun = 0x80802;
    private const uint SetInterface = 0x400454ca;
    private const uint SetOffload = 0x400454d0;
    private const uint SetHeaderLength = 0x400454d8;
    private const string Tap = "laminatest3";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(SystemCall.Socketpair, TooManyFiles)]
    [InlineData(SystemCall.Pipe2, TooManyFiles)]
    [InlineData(SystemCall.Clone3, TryAgain)]
    [InlineData(SystemCall.Eventfd2, TooManyFiles)]
    public void AUserNetworkThatCannotBeStartedIsNamedAndLeavesNothing(SystemCall call, int error)
    {
        Assert.SkipUnless((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, "passt"))), "'passt' is not installed (package passt).");
        UserNetwork.Start([]).Dispose();
        string[] before = HostState.Descriptors();
        (_, int failed, Exception? exception) = CallFaults.Run(call, [], 0, 1, error, static () => UserNetwork.Start([]).Dispose());
        Assert.True(failed == 1, $"Starting passt makes no call of {call}: this tests nothing.");
        string reason = Marshal.GetPInvokeErrorMessage(error);
        Assert.True(
            exception is NetworkException && exception.Message.Contains(reason, StringComparison.Ordinal), $"When {call} failed with '{reason}', starting ended with {exception?.ToString() ?? "a network"}.");
        Assert.Equal(before, HostState.Descriptors());
        Assert.Empty(HostState.Children("passt"));
    }

    [Theory]
    [InlineData(SystemCall.Openat, 2, Tun, TooManyFiles, false)]
    [InlineData(SystemCall.Ioctl, 1, SetInterface, OutOfMemory, false)]
    [InlineData(SystemCall.Ioctl, 1, SetHeaderLength, OutOfMemory, false)]
    [InlineData(SystemCall.Ioctl, 1, SetOffload, OutOfMemory, true)]
    public void ATapInterfaceThatCannotBeHadIsNamedAndLeavesNothing(SystemCall call, int argument, uint value, int error, bool canDoWithout)
    {
        try
        {
            OpenTap();
        }
        catch (NetworkException e)
        {
            Assert.Skip($"This host does not let the test make a tap interface: {e.Message}");
        }

        string[] before = HostState.Descriptors();
        string reason = Marshal.GetPInvokeErrorMessage(error);
        int refused = 0;
        while (true)
        {
            (_, int failed, Exception? exception) = CallFaults.Run(call, [new ArgumentCheck(argument, uint.MaxValue, value)], refused, 1, error, OpenTap);
            Assert.Equal(before, HostState.Descriptors());
            if (failed == 0)
            {
                Assert.Null(exception);
                break;
            }

            string where = $"When call {refused} of {call} failed with '{reason}'";
            Assert.True(canDoWithout ? exception == null : exception is NetworkException && exception.Message.Contains(reason, StringComparison.Ordinal), $"{where}, opening ended with {exception?.ToString() ?? "a network"}.");
            refused++;
        }

        Assert.True(refused >= 2, $"Of two lines, {refused} made a call of {call}.");

        static void OpenTap()
        {
            foreach (TapNetwork line in TapNetwork.Open(Tap, 2))
            {
                line.Dispose();
            }
        }
    }

    [Theory]
    [InlineData(SystemCall.Read, Interrupted)]
    [InlineData(SystemCall.Read, OutOfMemory)]
    [InlineData(SystemCall.Read, NoBuffers)]
    [InlineData(SystemCall.Poll, Interrupted)]
    public void WhatPassesByLeavesTheLinkUpAndWhatArrivesWhole(SystemCall call, int error)
    {
        using Line line = new();
        (_, int failed, Exception? exception) = CallFaults.Run(call, [line.Check(call)], 0, 1, error, () =>
        {
            line.Network.Start();
            line.Send([1, 2, 3]);
            Assert.True(line.Arrived.TryTake(out byte[]? frame, Patience), "The frame did not arrive.");
            Assert.Equal([1, 2, 3], frame[INetworkBackend.HeaderLength..]);
            line.Network.Stop();
        });
        Assert.Null(exception);
        Assert.Equal(1, failed);
        Assert.Empty(line.Notices);
    }

    [Theory]
    [InlineData(SystemCall.Read, InputOutput)]
    [InlineData(SystemCall.Poll, OutOfMemory)]
    public void WhatDoesNotPassTakesTheLinkDownAndIsTold(SystemCall call, int error)
    {
        using Line line = new();
        (_, int failed, Exception? exception) = CallFaults.Run(call, [line.Check(call)], 0, 1, error, () =>
        {
            line.Network.Start();
            line.Send([1, 2, 3]);
            Assert.True(line.Notices.TryTake(out string? notice, Patience), "Nobody was told.");
            Assert.EndsWith("the guest's link is down", notice, StringComparison.Ordinal);
            Assert.True(line.Links.TryTake(out bool up, Patience), "The guest's link did not change.");
            Assert.False(up);
            line.Network.Stop();
        });
        Assert.Null(exception);
        Assert.Equal(1, failed);
    }

    [Fact]
    public void APacketForWhichThereIsNoMemoryIsLostAndTheNextGoesOut()
    {
        using Line line = new();
        byte[] packet = GC.AllocateArray<byte>(INetworkBackend.HeaderLength + 60, pinned: true);
        GuestBuffer[] buffers = [new GuestBuffer(0, Marshal.UnsafeAddrOfPinnedArrayElement(packet, 0), (uint)packet.Length)];
        (_, int failed, Exception? exception) = CallFaults.Run(SystemCall.Writev, [], 0, 1, NoBuffers, () =>
        {
            packet[^1] = 1;
            Assert.True(line.Network.TryTransmit(buffers));
            packet[^1] = 2;
            Assert.True(line.Network.TryTransmit(buffers));
        });
        Assert.Null(exception);
        Assert.Equal(1, failed);
        byte[] sent = new byte[256];
        Assert.Equal(4 + 60, Descriptor.Read(line.Far, sent, out _));
        Assert.Equal((60, 2), (sent[3], sent[63]));
    }

    // A stream network, and its other end.
    private sealed class Line : INetworkReceiver, IDisposable
    {
        private readonly StreamPair _pair = new();

        public Line()
        {
            Far = _pair.ShareOther();
            Network = new StreamNetwork(_pair.Own) { Notice = Notices.Add };
            Network.SetReceiver(this);
        }

        public int Far { get; }

        // A call of the network's thread, and not of the runtime: it reads this descriptor, and waits for two.
        public ArgumentCheck Check(SystemCall call) => call == SystemCall.Read ? new ArgumentCheck(0, uint.MaxValue, (uint)_pair.Own.Number) : new ArgumentCheck(1, uint.MaxValue, 2);

        public StreamNetwork Network { get; }

        public BlockingCollection<string> Notices { get; } = [];

        public BlockingCollection<bool> Links { get; } = [];

        public BlockingCollection<byte[]> Arrived { get; } = [];

        public void Send(ReadOnlySpan<byte> frame)
        {
            byte[] bytes = [0, 0, 0, (byte)frame.Length, .. frame];
            Assert.Equal(bytes.Length, Descriptor.Write(Far, bytes, out _));
        }

        public bool TryReceive(ReadOnlySpan<byte> packet)
        {
            Arrived.Add(packet.ToArray());
            return true;
        }

        public void OnTransmitReady()
        {
        }

        public void OnLinkChanged(bool up) => Links.Add(up);

        public void Dispose()
        {
            Network.Dispose();
            _pair.Dispose();
            Notices.Dispose();
            Links.Dispose();
            Arrived.Dispose();
        }
    }
}
