using System.Buffers.Binary;
using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Interop.Networks;
using Lamina.Machine.Backends;

namespace Lamina.Networking;

/// <summary>Frames over a stream, each after its length in four bytes, most significant first: what QEMU and passt speak. There are no offloads.</summary>
public class StreamNetwork : WireNetwork
{
    private const int LengthBytes = 4;
    private const int Capacity = 512 << 10;
    private const int HeadRoom = INetworkBackend.HeaderLength;
    private const int MaximumFrame = 65536;
    private const int MaximumBuffers = 64;

    private readonly byte[] _input = new byte[HeadRoom + Capacity];
    private readonly byte[] _unsent = GC.AllocateArray<byte>(LengthBytes + MaximumFrame, pinned: true);
    private readonly byte[] _prefix = GC.AllocateArray<byte>(LengthBytes, pinned: true);
    private readonly nint _unsentAddress;
    private readonly nint _prefixAddress;
    private readonly Lock _transmit = new();
    private int _start = HeadRoom;
    private int _end = HeadRoom;
    private int _unsentStart;
    private int _unsentEnd;
    private bool _gone;

    /// <summary>Takes an end of a connected pair over.</summary>
    public StreamNetwork(OwnedDescriptor socket)
        : base(socket)
    {
        _unsentAddress = System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(_unsent, 0);
        _prefixAddress = System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(_prefix, 0);
    }

    /// <inheritdoc/>
    public override NetworkOffloads Offloads => NetworkOffloads.None;

    /// <inheritdoc/>
    public override int MaximumTransmissionUnit => 65520;

    /// <inheritdoc/>
    public override void SetReceiveOffloads(NetworkOffloads offloads)
    {
    }

    /// <inheritdoc/>
    public override bool TryTransmit(ReadOnlySpan<GuestBuffer> buffers)
    {
        Span<IoVector> vectors = stackalloc IoVector[MaximumBuffers + 1];
        int count = 1;
        uint skip = INetworkBackend.HeaderLength;
        int length = 0;
        foreach (GuestBuffer buffer in buffers)
        {
            uint part = Math.Min(skip, buffer.Length);
            skip -= part;
            if (part == buffer.Length)
            {
                continue;
            }

            if (count > MaximumBuffers)
            {
                return true;
            }

            vectors[count++] = new IoVector(buffer.HostAddress + (nint)part, buffer.Length - part);
            length += (int)(buffer.Length - part);
        }

        if (length is 0 or > MaximumFrame)
        {
            return true;
        }

        lock (_transmit)
        {
            if (!TrySendRest())
            {
                WaitForRoom();
                return false;
            }

            if (_gone)
            {
                return true;
            }

            BinaryPrimitives.WriteInt32BigEndian(_prefix, length);
            vectors[0] = new IoVector(_prefixAddress, LengthBytes);
            int sent = Wire.Write(vectors[..count], out int error);
            if (sent == length + LengthBytes)
            {
                return true;
            }

            if (error == ErrorNumber.TryAgain)
            {
                WaitForRoom();
                return false;
            }

            if (error != 0)
            {
                // What the host has no memory for is lost, as on any wire. Otherwise the other end is gone, as the thread that reads finds, too.
                _gone = !IsForNow(error);
                return true;
            }

            // The stream must not end inside a frame: what did not fit is kept.
            KeepRest(vectors[..count], sent);
            WaitForRoom();
            return true;
        }
    }

    private protected override bool TryFinishTransmit()
    {
        lock (_transmit)
        {
            return TrySendRest();
        }
    }

    private protected override WireState Receive()
    {
        while (true)
        {
            while (_end - _start >= LengthBytes)
            {
                int length = (int)BinaryPrimitives.ReadUInt32BigEndian(_input.AsSpan(_start));
                if (length is < 0 or > MaximumFrame)
                {
                    return WireState.Lost;
                }

                if (_end - _start - LengthBytes < length)
                {
                    break;
                }

                // The header goes over the length and what was before it.
                int frame = _start + LengthBytes;
                int packet = frame - INetworkBackend.HeaderLength;
                Span<byte> bytes = _input.AsSpan(packet, length + INetworkBackend.HeaderLength);
                bytes[..INetworkBackend.HeaderLength].Clear();
                if (!Receiver.TryReceive(bytes))
                {
                    BinaryPrimitives.WriteInt32BigEndian(_input.AsSpan(_start), length);
                    return WireState.GuestFull;
                }

                _start = frame + length;
            }

            if (_start == _end)
            {
                _start = _end = HeadRoom;
            }
            else if (_input.Length - _end < LengthBytes + MaximumFrame)
            {
                Buffer.BlockCopy(_input, _start, _input, HeadRoom, _end - _start);
                _end = HeadRoom + _end - _start;
                _start = HeadRoom;
            }

            int count = Wire.Read(_input.AsSpan(_end), out int error);
            if (count <= 0)
            {
                return error == ErrorNumber.TryAgain || IsForNow(error) ? WireState.Empty : WireState.Lost;
            }

            _end += count;
        }
    }

    private static bool IsForNow(int error) => error is ErrorNumber.OutOfMemory or ErrorNumber.NoBuffers;

    private bool TrySendRest()
    {
        while (_unsentStart < _unsentEnd && !_gone)
        {
            IoVector rest = new(_unsentAddress + _unsentStart, (nuint)(_unsentEnd - _unsentStart));
            int sent = Wire.Write(new ReadOnlySpan<IoVector>(in rest), out int error);
            if (error == ErrorNumber.TryAgain || IsForNow(error))
            {
                return false;
            }

            _gone |= sent < 0;
            _unsentStart += Math.Max(sent, 0);
        }

        return true;
    }

    private void KeepRest(ReadOnlySpan<IoVector> vectors, int sent)
    {
        _unsentStart = 0;
        _unsentEnd = 0;
        foreach (IoVector vector in vectors)
        {
            int length = (int)vector.Length;
            int skip = Math.Min(sent, length);
            sent -= skip;
            System.Runtime.InteropServices.Marshal.Copy(vector.Address + skip, _unsent, _unsentEnd, length - skip);
            _unsentEnd += length - skip;
        }
    }
}
