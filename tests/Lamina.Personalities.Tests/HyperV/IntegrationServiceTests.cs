using System.Buffers.Binary;
using System.Text;
using Lamina.Personalities.HyperV.Integration;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>The services to the guest's system as its drivers see them, good and hostile.</summary>
public sealed partial class IntegrationServiceTests : IDisposable
{
    private const ulong Second = 1_000_000_000;
    private readonly VmBusGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void AGuestIsAskedToStop()
    {
        ShutdownService service = new(_guest.Bus);
        Assert.Equal(new Guid("0e0b6031-5213-4934-818b-38d90ced39db"), Start());
        Assert.False(service.TryPowerOff());
        Assert.Equal([0x1_0000u, 0x3_0000, 0x1_0000, 0x3_0000, 0x3_0001, 0x3_0002], Negotiate(3, 0, 3, 2));
        Assert.Null(_guest.Take());
        Assert.True(service.TryPowerOff());
        byte[] request = Take(3);
        Assert.Equal((2060, 3, 3, 2, 0u), (Size(request), request[8], request[14], request[16], BitConverter.ToUInt32(request, 36)));
        Answer(request, 0);
        Assert.Null(_guest.Take());
        Assert.True(service.TryRestart());
        request = Take(3);
        Assert.Equal((2060, 2u), (Size(request), BitConverter.ToUInt32(request, 36)));
        Answer(request, 0);
        Assert.Null(_guest.Take());
        _guest.Close();
        Assert.False(service.TryPowerOff());
        Assert.False(service.TryRestart());
    }

    [Fact]
    public void AHeartbeatThatIsNotAnsweredIsLost()
    {
        HeartbeatService service = new(_guest.Bus);
        Start();
        Assert.Null(service.IsAlive);
        Negotiate(3, 0, 3, 0);
        Answer(Take(1), 0);
        Assert.True(service.IsAlive);
        for (int i = 0; i < 10; i++)
        {
            _guest.Host.Clock.Advance(2 * Second);
            Answer(Take(1), 0);
        }

        Assert.True(service.IsAlive);
        _guest.Host.Clock.Advance(2 * Second);
        byte[] late = Take(1);
        _guest.Host.Clock.Advance(20 * Second);
        Assert.Null(_guest.Take());
        Assert.False(service.IsAlive);
        Answer(late, 0);
        Assert.True(service.IsAlive);
    }

    [Theory]
    [InlineData(4, 16, 24)]
    [InlineData(3, 24, 28)]
    public void TheTimeIsSetAndThenGivenAsSamples(byte version, int flagsAt, int length)
    {
        TimeSyncService service = new(_guest.Bus);
        Start();
        Negotiate(3, 0, version, 0);
        byte[] request = Take(4);
        Assert.Equal((length, 1), (Size(request), request[28 + flagsAt]));
        Assert.Equal((_guest.Host.Clock.UnixTime / 100) + 116_444_736_000_000_000, BitConverter.ToUInt64(request, 28));
        Answer(request, 0);
        _guest.Host.Clock.Advance(30 * Second);
        request = Take(4);
        Assert.Equal(2, request[28 + flagsAt]);
        if (version == 4)
        {
            Assert.Equal(_guest.Host.Clock.Now / 100, BitConverter.ToUInt64(request, 36));
        }

        // After the machine stood still the time is set again.
        Answer(request, 0);
        _guest.Bus.Stop();
        _guest.Bus.Start();
        _guest.Host.Clock.Advance(0);
        request = Take(4);
        Assert.Equal(1, request[28 + flagsAt]);

        // So it is after a pause, in which the bus stays as it is.
        Answer(request, 0);
        service.Continue();
        _guest.Host.Clock.Advance(0);
        Assert.Equal(1, Take(4)[28 + flagsAt]);
    }

    [Fact]
    public void WhatTheGuestIsIsAskedOneByOne()
    {
        KeyValueService service = new(_guest.Bus);
        Start();
        Negotiate(3, 0, 4, 0);
        Say("OSName", "Debian");
        Say("OSVersion", "6.1");
        Answer(Take(2), 0x8007_0103);
        Assert.Equal(("Debian", "6.1", null), (service.Find("OSName"), service.Find("OSVersion"), service.Find("OS")));
        Assert.Null(_guest.Take());
        _guest.Host.Clock.Advance(30 * Second);
        Say("OSName", "Other");
        Answer(Take(2), 0x8007_0103);
        Assert.Equal(("Other", null), (service.Find("OSName"), service.Find("OSVersion")));
        _guest.Close();
        Assert.Null(service.Find("OSName"));
    }

    [Fact]
    public void AGuestDoesNotSayMoreThanThereIsRoomFor()
    {
        KeyValueService service = new(_guest.Bus);
        Start();
        Negotiate(3, 0, 4, 0);
        for (int i = 0; i < 16; i++)
        {
            Say($"k{i}", new string('x', 1023));
        }

        Assert.Null(_guest.Take());
        Assert.Equal(1023, service.Find("k15")!.Length);
    }

    [Theory]
    [InlineData(40, 514u)]
    [InlineData(40, 0u)]
    [InlineData(40, 3u)]
    [InlineData(44, 2050u)]
    [InlineData(44, 0xffff_fffeu)]
    [InlineData(36, 4u)]
    public void ValuesThatCannotBeEndTheQuestions(int field, uint value)
    {
        KeyValueService service = new(_guest.Bus);
        Start();
        Negotiate(3, 0, 4, 0);
        byte[] answer = Value(Take(2), "OSName", "Debian");
        BinaryPrimitives.WriteUInt32LittleEndian(answer.AsSpan(field), value);
        Answer(answer, 0);
        Assert.Null(service.Find("OSName"));
        Assert.Null(_guest.Take());
    }

    [Theory]
    [InlineData(3, 0, 9, 9)]
    [InlineData(7, 0, 3, 0)]
    [InlineData(0, 0, 0, 0)]
    public void AGuestThatKnowsNoVersionIsAskedNothing(byte framework, byte frameworkMinor, byte version, byte minor)
    {
        HeartbeatService service = new(_guest.Bus);
        Start();
        Negotiate(framework, frameworkMinor, version, minor);
        _guest.Host.Clock.Advance(10 * Second);
        Assert.Null(_guest.Take());
        Assert.Null(service.IsAlive);
    }

    [Fact]
    public void GarbageIsSurvived()
    {
        KeyValueService service = new(_guest.Bus);
        Start();
        Random random = new(5);
        for (int i = 0; i < 3000; i++)
        {
            if (i % 100 == 0)
            {
                _guest.Bus.Reset();
                Start();
                if (i % 200 == 0)
                {
                    Negotiate(3, 0, 4, 0);
                }
            }

            byte[] junk = new byte[random.Next(4, 2700)];
            random.NextBytes(junk);
            if (junk.Length > 40 && random.Next(3) != 0)
            {
                (junk[12], junk[13], junk[25]) = ((byte)random.Next(6), 0, 5);
                junk.AsSpan(20, 4).Clear();
            }

            _guest.Put(6, (ulong)i, [], junk);
            _guest.Host.Clock.Advance(Second);
            service.Find("OSName");
            while (_guest.Take() is not null)
            {
            }
        }
    }

    private static int Size(byte[] message) => BitConverter.ToUInt16(message, 18);

    private static byte[] Value(byte[] request, string key, string value)
    {
        byte[] answer = [.. request];
        BitConverter.TryWriteBytes(answer.AsSpan(36), 1);
        BitConverter.TryWriteBytes(answer.AsSpan(40), (key.Length + 1) * 2);
        BitConverter.TryWriteBytes(answer.AsSpan(44), (value.Length + 1) * 2);
        Encoding.Unicode.GetBytes(key, answer.AsSpan(48));
        Encoding.Unicode.GetBytes(value, answer.AsSpan(48 + 512));
        return answer;
    }

    private Guid Start()
    {
        _guest.Bus.Start();
        Guid type = _guest.Open();
        _guest.Host.Clock.Advance(0);
        return type;
    }

    // The versions that were offered.
    private uint[] Negotiate(byte framework, byte frameworkMinor, byte version, byte minor)
    {
        byte[] request = Take(0);
        int count = BitConverter.ToUInt16(request, 28) + BitConverter.ToUInt16(request, 30);
        uint[] offered = [.. Enumerable.Range(0, count).Select(i => ((uint)BitConverter.ToUInt16(request, 36 + (4 * i)) << 16) | BitConverter.ToUInt16(request, 38 + (4 * i)))];
        byte[] answer = [.. request];
        bool knows = framework != 0;
        (answer[28], answer[30]) = knows ? ((byte)1, (byte)1) : ((byte)0, (byte)0);
        (answer[36], answer[38], answer[40], answer[42]) = (framework, frameworkMinor, version, minor);
        Answer(answer, 0);
        return offered;
    }

    private void Say(string key, string value) => Answer(Value(Take(2), key, value), 0);

    private byte[] Take(ushort type)
    {
        VmBusGuest.Packet? packet = _guest.Take();
        Assert.NotNull(packet);
        Assert.Equal((6, 1u, type, 3), (packet.Type, packet.Word(0), BitConverter.ToUInt16(packet.Data, 12), packet.Data[25]));
        Assert.Equal(20 + Size(packet.Data), packet.Word(4) is var length ? (int)length : 0);
        return packet.Data;
    }

    private void Answer(byte[] message, uint status)
    {
        byte[] answer = [.. message];
        BitConverter.TryWriteBytes(answer.AsSpan(20), status);
        answer[25] = 5;
        _guest.Put(6, 1, [], answer);
    }
}
