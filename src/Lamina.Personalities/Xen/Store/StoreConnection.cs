using System.Buffers.Binary;
using Lamina.Machine.Memory;
using Lamina.Personalities.Xen.Events;

namespace Lamina.Personalities.Xen.Store;

/// <summary>
/// The guest's connection to the store: a page with a ring each way (struct xenstore_domain_interface). A request is taken when the answer to the one before is in the ring; events go between.
/// A guest that breaks the protocol is not heard any more until the machine is reset.
/// </summary>
internal sealed partial class StoreConnection(XenDomain domain, XenStore store) : IEventTarget
{
    /// <summary>Its event channel.</summary>
    internal const uint Port = 1;

    private const int RingLength = 1024;
    private const int AnswerRing = 1024;
    private const int RequestConsumer = 2048;
    private const int RequestProducer = 2052;
    private const int AnswerConsumer = 2056;
    private const int AnswerProducer = 2060;
    private const int Features = 2064;
    private const int ErrorField = 2072;
    private const uint TellsErrors = 2;
    private const uint IndexError = 2;
    private const uint ProtocolError = 3;
    private const int HeaderLength = 16;
    private const int LengthOffset = 12;

    // A guest that fills its ring while it is read is heard again with its next event.
    private const int MostRequests = 64;

    private readonly byte[] _in = new byte[HeaderLength + StoreLimits.Payload];
    private readonly byte[] _out = new byte[HeaderLength + StoreLimits.Payload];
    private readonly StoreRequests _requests = new(store);
    private int _received;
    private int _outLength;
    private int _sent;
    private bool _broken;
    private bool _running;

    private GuestMemory Memory => domain.Memory;

    /// <summary>Sets the page up.</summary>
    internal void Reset()
    {
        Span<byte> page = stackalloc byte[GuestMemory.PageSize];
        page.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(page[Features..], TellsErrors);
        Memory.TryWrite(SpecialPages.Store, page);
        _received = _outLength = _sent = 0;
        _broken = false;
    }

    /// <summary>Has the ring be used, or left alone: what is to be said then waits.</summary>
    internal void SetRunning(bool running)
    {
        store.Gate.Enter();
        _running = running;
        store.Gate.Exit();
    }

    /// <inheritdoc/>
    public void OnEvent()
    {
        Run(receives: true);
        store.TellObservers();
        Run(receives: true);
    }

    /// <summary>Sends events that the control domain has caused, and takes requests. Without the store's lock.</summary>
    /// <param name="receives">Whether requests are taken: only where observers are told afterwards.</param>
    internal void Run(bool receives)
    {
        store.Gate.Enter();
        bool tells = false;
        int requests = 0;
        while (_running && !_broken && Flush(ref tells))
        {
            // Events are as many as wait: a guest that makes room for them meanwhile says so to nobody.
            if (TakeEvent())
            {
                continue;
            }

            if (!receives || requests == MostRequests || !Receive(ref tells))
            {
                break;
            }

            requests++;
        }

        if (tells)
        {
            domain.Events.Signal(Port, this);
        }

        store.Gate.Exit();
    }

    // Whether all of it is in the ring.
    private bool Flush(ref bool tells)
    {
        while (_sent < _outLength)
        {
            if (!TryReadIndexes(AnswerConsumer, AnswerProducer, out uint consumer, out uint producer))
            {
                return false;
            }

            uint start = producer % RingLength;
            int part = (int)Math.Min(Math.Min(RingLength - (producer - consumer), RingLength - start), (uint)(_outLength - _sent));
            if (part == 0)
            {
                return false;
            }

            Memory.TryWrite(SpecialPages.Store + AnswerRing + start, _out.AsSpan(_sent, part));
            Interlocked.MemoryBarrier();
            Memory.TryWrite(SpecialPages.Store + AnswerProducer, producer + (uint)part);
            Interlocked.MemoryBarrier();
            _sent += part;
            tells = true;
        }

        _sent = _outLength = 0;
        return true;
    }

    private bool TakeEvent()
    {
        int length = store.Watches.Take(_out.AsSpan(HeaderLength));
        if (length == 0)
        {
            return false;
        }

        Answer(StoreMessage.WatchEvent, 0, 0, length);
        return true;
    }

    // Whether a whole request has come, and been answered.
    private bool Receive(ref bool tells)
    {
        while (true)
        {
            int wanted = HeaderLength;
            if (_received >= HeaderLength)
            {
                uint length = BinaryPrimitives.ReadUInt32LittleEndian(_in.AsSpan(LengthOffset));
                if (length > StoreLimits.Payload)
                {
                    Break(ProtocolError);
                    return false;
                }

                wanted += (int)length;
                if (_received == wanted)
                {
                    break;
                }
            }

            if (!TryReadIndexes(RequestConsumer, RequestProducer, out uint consumer, out uint producer) || consumer == producer)
            {
                return false;
            }

            uint start = consumer % RingLength;
            int part = (int)Math.Min(Math.Min(producer - consumer, RingLength - start), (uint)(wanted - _received));
            Memory.TryRead(SpecialPages.Store + start, _in.AsSpan(_received, part));
            Interlocked.MemoryBarrier();
            Memory.TryWrite(SpecialPages.Store + RequestConsumer, consumer + (uint)part);
            _received += part;
            tells = true;
        }

        ReadOnlySpan<byte> header = _in.AsSpan(0, HeaderLength);
        StoreMessage type = (StoreMessage)BinaryPrimitives.ReadUInt32LittleEndian(header);
        uint request = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        uint transaction = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        ReadOnlySpan<byte> payload = _in.AsSpan(HeaderLength, _received - HeaderLength);
        _received = 0;
        StoreError error = _requests.Execute(type, transaction, payload, _out.AsSpan(HeaderLength), out int answer);
        if (error != StoreError.None)
        {
            type = StoreMessage.Error;
            answer = StoreRequests.WriteError(error, _out.AsSpan(HeaderLength));
        }

        Answer(type, request, transaction, answer);
        return true;
    }

    private void Answer(StoreMessage type, uint request, uint transaction, int length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_out, (uint)type);
        BinaryPrimitives.WriteUInt32LittleEndian(_out.AsSpan(4), request);
        BinaryPrimitives.WriteUInt32LittleEndian(_out.AsSpan(8), transaction);
        BinaryPrimitives.WriteUInt32LittleEndian(_out.AsSpan(LengthOffset), (uint)length);
        (_sent, _outLength) = (0, HeaderLength + length);
    }

    private bool TryReadIndexes(int consumerField, int producerField, out uint consumer, out uint producer)
    {
        Memory.TryRead(SpecialPages.Store + (uint)consumerField, out consumer);
        Memory.TryRead(SpecialPages.Store + (uint)producerField, out producer);
        Interlocked.MemoryBarrier();
        if (producer - consumer > RingLength)
        {
            Break(IndexError);
            return false;
        }

        return true;
    }

    private void Break(uint error)
    {
        _broken = true;
        Memory.TryWrite(SpecialPages.Store + ErrorField, error);
    }
}
