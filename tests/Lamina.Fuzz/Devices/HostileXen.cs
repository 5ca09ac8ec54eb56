using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Lamina.Machine.Personalities;
using Lamina.Personalities.Xen;

namespace Lamina.Fuzz.Devices;

/// <summary>A guest that speaks with Xen's control domain as far as the rings of its disks, its network card, its screen and its keyboard, and then puts what it likes into rings, grants, the store and hypercalls.</summary>
internal sealed class HostileXen(FuzzedMachine machine, Random random) : ILinearTranslation
{
    private const ulong SharedInfo = 8 << 20;
    private const ulong GrantFrames = SharedInfo + 0x1000;
    private const ulong Argument = SharedInfo + 0x2000;
    private const ulong FirstRing = SharedInfo + 0x1_0000;
    private const ulong Buffers = SharedInfo + 0x2_0000;
    private const ulong StoreRing = 0xd_0000;
    private const uint FirstBuffer = 64;
    private const uint BufferCount = 64;
    private const int DiskEntry = 112;
    private const int TransmitEntry = 12;
    private const int ReceiveEntry = 8;
    private const ulong Picture = FirstRing + 0x4000;
    private const ulong PictureDirectory = FirstRing + 0x5000;
    private const ulong Keys = FirstRing + 0x6000;
    private const uint KeysGrant = 12;
    private const uint MemoryOp = 12;
    private const uint EventChannelOp = 32;
    private const uint SchedOp = 29;
    private static readonly string[] Devices = ["vbd/51712", "vbd/51728", "vif/0"];
    private static readonly uint[] Calls = [MemoryOp, 15, 17, 18, 20, 21, 24, SchedOp, EventChannelOp, 33, 34];

    // Disks have a ring, and a card has two.
    private readonly uint[] _produced = new uint[4];
    private readonly uint[] _ports = new uint[4];
    private uint _picturePort;
    private uint _drawn;

    private bool IsPresent => machine.Devices.Personality is XenPersonality;

    /// <inheritdoc/>
    public bool TryTranslate(ulong linear, bool write, out ulong physical)
    {
        physical = linear;
        return linear < 1UL << 46;
    }

    /// <summary>Brings shared page, grants and devices up.</summary>
    public void BringUp()
    {
        if (!IsPresent)
        {
            return;
        }

        Map(0, SharedInfo);
        Map(1, GrantFrames);
        for (uint i = 0; i < BufferCount; i++)
        {
            Grant(FirstBuffer + i, Buffers + (i * 0x1000), 1);
        }

        for (int device = 0; device < Devices.Length; device++)
        {
            Connect(device);
        }

        ConnectScreen();
    }

    /// <summary>Does one thing.</summary>
    public void Step()
    {
        if (!IsPresent)
        {
            return;
        }

        // What the store has answered, the guest takes.
        if (machine.Memory.TryRead(StoreRing + 2060, out uint answered))
        {
            machine.Memory.TryWrite(StoreRing + 2056, answered);
        }

        int ring = random.Next(4);
        switch (random.Next(27))
        {
            case 0:
                Grant((uint)random.Next(256), Number(), (ushort)random.Next(16));
                break;
            case 1:
                machine.Memory.TryWrite(Ring(ring) + ((ulong)random.Next(4) * 4), (uint)Number());
                Notify(ring);
                break;
            case 2:
                Connect(random.Next(Devices.Length));
                break;
            case 3 or 4:
                Speak((uint)random.Next(24), Text(), random.Next(4) == 0 ? (uint)random.Next(4) : 0, random.Next(8) == 0 ? (int)Number() : null);
                break;
            case 5:
                machine.Memory.TryWrite(StoreRing + 2048 + ((ulong)random.Next(8) * 4), (uint)Number());
                Notify(1u);
                break;
            case 6 or 7:
                byte[] argument = new byte[32];
                random.NextBytes(argument);
                for (int i = 0; i < argument.Length; i += 8)
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(argument.AsSpan(i), random.Next(2) == 0 ? (ulong)random.Next(8) : Number());
                }

                machine.Memory.TryWrite(Argument, argument);
                uint call = Calls[random.Next(Calls.Length)];

                // Whoever switches the machine off ends the game.
                uint operation = (uint)random.Next(call == SchedOp ? 2 : 26);
                Call(call, operation, random.Next(4) == 0 ? (ulong)random.Next(4) : Argument, random.Next(2) == 0 ? 1 : Argument);
                break;
            case 8:
                // A frame of grants where there is no RAM, in the device's window or elsewhere, and back.
                ulong place = random.Next(2) == 0 ? GrantFrames : FuzzedMachine.RamLength + ((ulong)random.Next(100) << random.Next(12, 34));
                Map(1, place, (uint)random.Next(2));
                machine.Memory.TryWrite(place + (FirstBuffer * 8), 1 | (Buffers >> 12 << 32));
                break;
            case 9:
                if (random.Next(4) == 0)
                {
                    ConnectScreen();
                }

                machine.Memory.TryWrite((random.Next(3) switch { 0 => Picture, 1 => PictureDirectory, _ => Keys }) + ((ulong)random.Next(16) * 4), (uint)Number());
                Notify(_picturePort);
                break;
            case 10 or 11:
                Draw();
                break;
            default:
                Put(ring);
                break;
        }
    }

    private static ulong Ring(int ring) => FirstRing + ((ulong)ring * 0x1000);

    private ulong Number() => random.Next(2) == 0 ? (ulong)random.Next(4096) : FuzzValues.Number(random, FuzzedMachine.RamLength);

    // An entry that could be one, with something wrong in it now and then.
    private void Put(int ring)
    {
        int length = ring < 2 ? DiskEntry : ring == 2 ? TransmitEntry : ReceiveEntry;
        byte[] entry = new byte[length];
        if (ring < 2)
        {
            bool indirect = random.Next(3) == 0;
            entry[0] = indirect ? (byte)6 : (byte)random.Next(7);
            entry[1] = (byte)(indirect ? random.Next(2) : random.Next(13));
            entry[2] = (byte)(indirect ? random.Next(256) : 0);
            BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(8), (ulong)random.Next(64));
            BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(16), (ulong)random.Next(2200));
            for (int at = 24; at < 112; at += 8)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(at), Reference());
                entry[at + 4] = (byte)random.Next(9);
                entry[at + 5] = (byte)random.Next(9);
            }

            if (indirect)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(28), Reference());
            }
        }
        else if (ring == 2)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(entry, Reference());
            BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(4), (ushort)random.Next(random.Next(8) == 0 ? 65536 : 2048));
            BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(6), (ushort)random.Next(16));
            BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(10), (ushort)random.Next(random.Next(8) == 0 ? 65536 : 3000));
        }
        else
        {
            BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(4), Reference());
        }

        if (random.Next(6) == 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(random.Next(length / 4) * 4), (uint)Number());
        }

        uint entries = ring < 2 ? 32u : ring == 2 ? 256u : 256u;
        machine.Memory.TryWrite(Ring(ring) + 64 + (_produced[ring]++ % entries * (ulong)length), entry);
        if (random.Next(3) != 0)
        {
            machine.Memory.TryWrite(Ring(ring), _produced[ring]);
            Notify(ring);
        }
    }

    private uint Reference() => random.Next(12) == 0 ? (uint)Number() : FirstBuffer + (uint)random.Next((int)BufferCount);

    private byte[] Text()
    {
        string path = random.Next(5) switch
        {
            0 => "device",
            1 => $"/local/domain/1/device/{Devices[random.Next(Devices.Length)]}/state",
            2 => $"data/{random.Next(2000)}/{new string('x', random.Next(200))}",
            3 => "control/shutdown",
            _ => new string('/', random.Next(4)),
        };
        byte[] text = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{path}\0{random.Next(8)}{(random.Next(2) == 0 ? "\0" : "")}"));
        if (random.Next(4) == 0)
        {
            text[random.Next(text.Length)] = (byte)random.Next(256);
        }

        return text;
    }

    private void Connect(int device)
    {
        Write($"{Devices[device]}/state", "6");
        Write($"{Devices[device]}/state", "1");
        bool isCard = device == 2;
        for (int ring = device; ring <= (isCard ? 3 : device); ring++)
        {
            _produced[ring] = 0;
            machine.Memory.TryWrite(Ring(ring), new byte[64]);
            Grant((uint)(8 + ring), Ring(ring), 1);
            _ports[ring] = Allocate();
        }

        if (isCard)
        {
            Write("vif/0/tx-ring-ref", "10");
            Write("vif/0/rx-ring-ref", "11");
            Write("vif/0/event-channel-tx", _ports[2].ToString(CultureInfo.InvariantCulture));
            Write("vif/0/event-channel-rx", _ports[3].ToString(CultureInfo.InvariantCulture));
            Write("vif/0/request-rx-copy", "1");
            Write("vif/0/feature-sg", "1");
            Write("vif/0/feature-gso-tcpv4", "1");
            Write("vif/0/feature-ipv6-csum-offload", "1");
        }
        else
        {
            Write($"{Devices[device]}/ring-ref", (8 + device).ToString(CultureInfo.InvariantCulture));
            Write($"{Devices[device]}/event-channel", _ports[device].ToString(CultureInfo.InvariantCulture));
            Write($"{Devices[device]}/protocol", "x86_64-abi");
        }

        Write($"{Devices[device]}/state", "4");
    }

    // A picture that can be, of pages that are not all RAM, and a page of keys.
    private void ConnectScreen()
    {
        foreach (string device in new[] { "vfb/0", "vkbd/0" })
        {
            Write($"{device}/state", "6");
            Write($"{device}/state", "1");
        }

        _drawn = 0;
        machine.Memory.TryWrite(Picture, new byte[4096]);
        machine.Memory.TryWrite(Keys, new byte[4096]);
        uint[] mode = [640, 480, 640 * 4, 640 * 480 * 4, 32];
        for (int i = 0; i < mode.Length; i++)
        {
            machine.Memory.TryWrite(Picture + 16 + ((ulong)i * 4), random.Next(16) == 0 ? (uint)Number() : mode[i]);
        }

        machine.Memory.TryWrite(Picture + 40, PictureDirectory >> 12);
        for (uint i = 0; i < 300; i++)
        {
            machine.Memory.TryWrite(PictureDirectory + (i * 8), random.Next(16) == 0 ? Number() : (Buffers >> 12) + (i % BufferCount));
        }

        _picturePort = Allocate();
        Write("vfb/0/page-ref", (Picture >> 12).ToString(CultureInfo.InvariantCulture));
        Write("vfb/0/event-channel", _picturePort.ToString(CultureInfo.InvariantCulture));
        Write("vfb/0/protocol", "x86_64-abi");
        Write("vfb/0/state", "4");
        Grant(KeysGrant, Keys, 1);
        Write("vkbd/0/page-gref", KeysGrant.ToString(CultureInfo.InvariantCulture));
        Write("vkbd/0/event-channel", Allocate().ToString(CultureInfo.InvariantCulture));
        Write("vkbd/0/request-abs-pointer", "1");
        Write("vkbd/0/state", "4");
    }

    // What was drawn, or another picture.
    private void Draw()
    {
        byte[] happened = new byte[40];
        happened[0] = (byte)random.Next(1, 5);
        for (int at = 4; at < 24; at += 4)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(happened.AsSpan(at), random.Next(4) == 0 ? (uint)Number() : (uint)random.Next(2000));
        }

        machine.Memory.TryWrite(Picture + 2048 + (_drawn++ % 51 * 40), happened);
        machine.Memory.TryWrite(Picture + 12, _drawn);
        Notify(_picturePort);
    }

    private void Write(string name, string value)
    {
        // Answers are taken, or the ring is full.
        machine.Memory.TryRead(StoreRing + 2060, out uint answered);
        machine.Memory.TryWrite(StoreRing + 2056, answered);
        Speak(11, Encoding.ASCII.GetBytes($"/local/domain/1/device/{name}\0{value}"), 0, null);
    }

    private void Speak(uint type, byte[] payload, uint transaction, int? claimed)
    {
        byte[] header = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), transaction);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(12), claimed ?? payload.Length);
        machine.Memory.TryRead(StoreRing + 2052, out uint producer);
        foreach (byte b in (byte[])[.. header, .. payload])
        {
            machine.Memory.TryWrite(StoreRing + (producer++ % 1024), b);
        }

        machine.Memory.TryWrite(StoreRing + 2052, producer);
        Notify(1u);
    }

    private void Map(uint space, ulong address, uint index = 0)
    {
        byte[] structure = new byte[24];
        BinaryPrimitives.WriteUInt16LittleEndian(structure, 0x7ff0);
        BinaryPrimitives.WriteUInt32LittleEndian(structure.AsSpan(4), space);
        BinaryPrimitives.WriteUInt64LittleEndian(structure.AsSpan(8), index);
        BinaryPrimitives.WriteUInt64LittleEndian(structure.AsSpan(16), address >> 12);
        machine.Memory.TryWrite(Argument, structure);
        Call(MemoryOp, 7, Argument, 0);
    }

    private void Grant(uint reference, ulong address, ushort flags)
    {
        machine.Memory.TryWrite(GrantFrames + (reference % 512 * 8), flags | (address >> 12 << 32));
    }

    private uint Allocate()
    {
        machine.Memory.TryWrite(Argument, 0x7ff0UL);
        Call(EventChannelOp, 6, Argument, 0);
        machine.Memory.TryRead(Argument + 4, out uint port);
        return port;
    }

    private void Notify(int ring) => Notify(_ports[ring]);

    private void Notify(uint port)
    {
        machine.Memory.TryWrite(Argument, port);
        Call(EventChannelOp, 4, Argument, 0);
    }

    private void Call(uint number, ulong first, ulong second, ulong third)
    {
        Span<ulong> registers = stackalloc ulong[16];
        registers.Clear();
        (registers[GuestCall.Rax], registers[GuestCall.Rdi], registers[GuestCall.Rsi], registers[GuestCall.Rdx]) = (number, first, second, third);
        GuestCallEnd end = GuestCallEnd.GoOn;
        machine.Devices.Personality.TryHypercall(new GuestCall(new GuestCall(random.Next(2), registers, 0, is64Bit: true, this), ref end));
    }
}
