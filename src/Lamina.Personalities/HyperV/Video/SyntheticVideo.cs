using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Display;
using Lamina.Machine.Memory;
using Lamina.Machine.Pci;
using Lamina.Personalities.HyperV.Input;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Video;

/// <summary>
/// Hyper-V's synthetic video device, protocols 3.2 and 3.5 (Linux, drivers/video/fbdev/hyperv_fb.c and drivers/gpu/drm/hyperv). The frame buffer is where the driver says: in the guest's own RAM, or in RAM of which the guest is
/// told as VMBus's memory. The older driver looks for a PCI function beside it, unless its system was started by UEFI.
/// </summary>
public sealed class SyntheticVideo : SyntheticDevice, IMemoryOffer
{
    /// <summary>Most bytes of a picture: as many as a driver finds in one piece of its RAM, and as VMBus has for it.</summary>
    public const int MaximumLength = 4 << 20;

    private const uint Version32 = (2 << 16) | 3;
    private const uint Version35 = (5 << 16) | 3;
    private const int Header = PipeHeader + 8;
    private const int EdidLength = 128;
    private const int ResolutionPlaces = 64;
    private const int ResolutionsOffset = EdidLength + 3;
    private const int LongestMessage = Header + ResolutionsOffset + (ResolutionPlaces * 4) + 8;
    private const int OutputOffset = 9;
    private const int OutputLength = 18;
    private const int RectanglesOffset = 2;
    private const int RectangleLength = 16;

    private readonly int _width;
    private readonly int _height;
    private readonly DisplaySurface _surface;
    private readonly byte[] _message = new byte[LongestMessage];
    private bool _accepted;
    private bool _told;
    private bool _located;
    private ulong _location;

    // What the guest has said of its output.
    private bool _active;
    private uint _offset;
    private uint _pixelBits;
    private uint _outputWidth;
    private uint _outputHeight;
    private uint _pitch;

    /// <summary>Makes it and puts it on the bus.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="gate">The picture's own lock.</param>
    /// <param name="functionLock">The PCI function's own lock.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="width">Pixels of a line, as it is offered.</param>
    /// <param name="height">Lines.</param>
    public SyntheticVideo(VmBusController bus, ILock gate, ILock functionLock, GuestMemory memory, int width, int height)
        : base(bus, "hvvideo", new Guid("da0a7802-e377-4aac-8e77-0558eb1073f8"), new Guid("5620e0c7-8062-4dce-aeb7-520c7ef76171"), LongestMessage + 64)
    {
        (_width, _height) = (width, height);
        _surface = new DisplaySurface(gate, memory, MaximumLength);
        Function = new PciFunction(functionLock, new PciIdentity(0x1414, 0x5353, 0x03_8000));
    }

    /// <summary>What it shows.</summary>
    public IDisplay Display => _surface;

    /// <summary>The function by which drivers know the machine's generation; it has no registers.</summary>
    public PciFunction Function { get; }

    /// <inheritdoc/>
    int IMemoryOffer.Megabytes => MaximumLength >> 20;

    private protected override void Begin()
    {
        _accepted = _told = _located = _active = false;
        _location = 0;
        _surface.Hide();
    }

    private protected override void Take(ReadOnlySpan<byte> message)
    {
        if (Word(message, 0) != PipeData || message.Length < Header)
        {
            return;
        }

        ReadOnlySpan<byte> body = message[Header..];
        VideoMessage type = (VideoMessage)Word(message, PipeHeader);
        if (type == VideoMessage.VersionRequest)
        {
            uint version = Word(body, 0);
            Begin();
            _accepted = version is Version32 or Version35;
            Span<byte> answer = Compose(6);
            BinaryPrimitives.WriteUInt32LittleEndian(answer, version);
            answer[4] = _accepted ? (byte)1 : (byte)0;
            answer[5] = 1;
            Send(VideoMessage.VersionResponse, 6);
        }
        else if (_accepted)
        {
            Take(type, body);
        }
    }

    private protected override void Save(IStateWriter state)
    {
        state.Write(1, _accepted);
        state.Write(2, _told);
        state.Write(3, _located);
        state.Write(4, _location);
        state.Write(5, _active);
        state.Write(6, (ulong)_offset);
        state.Write(7, (ulong)_pixelBits);
        state.Write(8, (ulong)_outputWidth);
        state.Write(9, (ulong)_outputHeight);
        state.Write(10, (ulong)_pitch);
    }

    private protected override bool Restore(IStateReader state)
    {
        bool valid = state.TryTake(1, ref _accepted) & state.TryTake(2, ref _told) & state.TryTake(3, ref _located) & state.TryTake(4, ref _location) & state.TryTake(5, ref _active)
            & state.TryTake(6, ref _offset) & state.TryTake(7, ref _pixelBits) & state.TryTake(8, ref _outputWidth) & state.TryTake(9, ref _outputHeight) & state.TryTake(10, ref _pitch);
        valid = valid && (!_accepted || Channel is not null) && (_accepted || (!_located && !_active && !_told));
        if (valid)
        {
            Show();
        }

        return valid;
    }

    private void Take(VideoMessage type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case VideoMessage.ResolutionRequest:
                Span<byte> answer = Compose(ResolutionsOffset + (ResolutionPlaces * 4));
                answer[EdidLength] = 1;
                answer[EdidLength + 2] = 1;
                BinaryPrimitives.WriteUInt16LittleEndian(answer[ResolutionsOffset..], (ushort)_width);
                BinaryPrimitives.WriteUInt16LittleEndian(answer[(ResolutionsOffset + 2)..], (ushort)_height);
                Send(VideoMessage.ResolutionResponse, ResolutionsOffset + (ResolutionPlaces * 4));
                break;
            case VideoMessage.VramLocation when body.Length >= 17:
                _located = body[8] != 0;
                _location = BinaryPrimitives.ReadUInt64LittleEndian(body[9..]);
                Acknowledge(VideoMessage.VramLocationAck, body);
                Show();
                break;
            case VideoMessage.SituationUpdate when body.Length >= OutputOffset + OutputLength && body[8] == 1:
                ReadOnlySpan<byte> output = body[OutputOffset..];
                _active = output[0] != 0;
                _offset = Word(output, 1);
                _pixelBits = output[5];
                _outputWidth = Word(output, 6);
                _outputHeight = Word(output, 10);
                _pitch = Word(output, 14);
                Acknowledge(VideoMessage.SituationUpdateAck, body);
                Show();
                TellFeatures();
                break;
            case VideoMessage.Dirt when body.Length >= RectanglesOffset:
                int count = Math.Min(body[1], (body.Length - RectanglesOffset) / RectangleLength);
                for (int i = 0; i < count; i++)
                {
                    ReadOnlySpan<byte> part = body[(RectanglesOffset + (i * RectangleLength))..];
                    _surface.Change(new DisplayRectangle((int)Word(part, 0), (int)Word(part, 4), (int)Word(part, 8), (int)Word(part, 12)));
                }

                break;
        }
    }

    // What the guest says of its picture holds as far as it can be.
    private void Show()
    {
        if (_located && _active && _pixelBits is 16 or 32 && _outputWidth <= DisplayMode.MaximumLength && _outputHeight <= DisplayMode.MaximumLength && _pitch <= 8 * DisplayMode.MaximumLength
            && _location <= ulong.MaxValue - _offset)
        {
            DisplayMode mode = new((int)_outputWidth, (int)_outputHeight, (int)_pitch, _pixelBits == 32 ? PixelFormat.Rgb32 : PixelFormat.Rgb16);
            _surface.TryShow(mode, _location + _offset);
        }
        else
        {
            _surface.Hide();
        }
    }

    // The guest tells what it draws, and nothing of its pointer.
    private void TellFeatures()
    {
        if (!_told)
        {
            _told = true;
            Compose(4)[0] = 1;
            Send(VideoMessage.FeatureChange, 4);
        }
    }

    private void Acknowledge(VideoMessage type, ReadOnlySpan<byte> body)
    {
        body[..sizeof(ulong)].CopyTo(Compose(sizeof(ulong)));
        Send(type, sizeof(ulong));
    }

    // The body of the next message, cleared.
    private Span<byte> Compose(int length)
    {
        _message.AsSpan().Clear();
        return _message.AsSpan(Header, length);
    }

    private void Send(VideoMessage type, int length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_message, PipeData);
        BinaryPrimitives.WriteInt32LittleEndian(_message.AsSpan(4), Header - PipeHeader + length);
        BinaryPrimitives.WriteUInt32LittleEndian(_message.AsSpan(PipeHeader), (uint)type);
        BinaryPrimitives.WriteInt32LittleEndian(_message.AsSpan(PipeHeader + 4), Header - PipeHeader + length);
        TrySend(_message.AsSpan(0, (Header + length + 7) & ~7));
    }
}
