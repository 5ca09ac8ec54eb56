using System.Buffers.Text;
using System.Globalization;

namespace Lamina.Personalities.Xen.Store;

/// <summary>Executes the guest's requests: payloads in, payloads out. With the store's lock held.</summary>
internal sealed class StoreRequests(XenStore store)
{
    private readonly byte[] _path = new byte[StoreLimits.Path];

    /// <summary>Writes the name of an error.</summary>
    internal static int WriteError(StoreError error, Span<byte> answer)
    {
        ReadOnlySpan<byte> name = error switch
        {
            StoreError.Denied => "EACCES\0"u8,
            StoreError.Exists => "EEXIST\0"u8,
            StoreError.NoEntry => "ENOENT\0"u8,
            StoreError.NoSpace => "ENOSPC\0"u8,
            StoreError.NoSuchCall => "ENOSYS\0"u8,
            StoreError.Busy => "EBUSY\0"u8,
            StoreError.Again => "EAGAIN\0"u8,
            StoreError.TooBig => "E2BIG\0"u8,
            _ => "EINVAL\0"u8,
        };
        name.CopyTo(answer);
        return name.Length;
    }

    /// <summary>Executes one.</summary>
    /// <param name="type">What is asked.</param>
    /// <param name="transaction">The transaction; 0 for none.</param>
    /// <param name="payload">Its payload.</param>
    /// <param name="answer">Room for the answer's: <see cref="StoreLimits.Payload"/> bytes.</param>
    /// <param name="length">Length of that.</param>
    internal StoreError Execute(StoreMessage type, uint transaction, ReadOnlySpan<byte> payload, Span<byte> answer, out int length)
    {
        length = 0;
        ReadOnlySpan<byte> first = TakeText(ref payload, out bool ended);
        StoreError error;
        switch (type)
        {
            case StoreMessage.TransactionStart:
                error = transaction != 0 ? StoreError.Busy : store.Begin(out transaction);
                length = WriteNumber(transaction, answer);
                return error;
            case StoreMessage.TransactionEnd:
                if (!first.SequenceEqual("T"u8) && !first.SequenceEqual("F"u8))
                {
                    return StoreError.Invalid;
                }

                length = WriteDone(answer);
                return store.End(transaction, first[0] == 'T');
            case StoreMessage.GetDomainPath:
                if (!TryParse(first, out ushort domain))
                {
                    return StoreError.Invalid;
                }

                "/local/domain/"u8.CopyTo(answer);
                length = 14 + WriteNumber(domain, answer[14..]);
                return StoreError.None;
            case StoreMessage.IsDomainIntroduced:
                length = 2;
                (TryParse(first, out domain) && domain is DomainId.Control or DomainId.Guest ? "T\0"u8 : "F\0"u8).CopyTo(answer);
                return StoreError.None;
            case StoreMessage.ResetWatches:
                store.Watches.Reset();
                store.AbandonAll();
                length = WriteDone(answer);
                return StoreError.None;
            case StoreMessage.Control:
                return StoreError.Denied;
        }

        if (!ended || !StorePath.TryMakeAbsolute(first, _path, out int pathLength))
        {
            return StoreError.Invalid;
        }

        ReadOnlySpan<byte> path = _path.AsSpan(0, pathLength);
        switch (type)
        {
            case StoreMessage.Watch or StoreMessage.Unwatch:
                ReadOnlySpan<byte> token = TakeText(ref payload, out bool whole);
                length = WriteDone(answer);
                return !whole ? StoreError.Invalid
                    : type == StoreMessage.Unwatch ? store.Watches.Remove(path, token) : store.Watches.Add(path, token, first[0] != '/');
            case StoreMessage.Write:
                length = WriteDone(answer);
                return store.Write(transaction, path, payload, makesDirectory: false);
            case StoreMessage.MakeDirectory:
                length = WriteDone(answer);
                return store.Write(transaction, path, default, makesDirectory: true);
            case StoreMessage.Remove:
                length = WriteDone(answer);
                return store.Remove(transaction, path);
            case StoreMessage.SetPermissions:
                length = WriteDone(answer);
                return TryParsePermissions(payload, out StorePermissions permissions) ? store.SetPermissions(transaction, path, permissions) : StoreError.Invalid;
            case StoreMessage.Read or StoreMessage.Directory or StoreMessage.DirectoryPart or StoreMessage.GetPermissions:
                return Read(type, transaction, path, TakeText(ref payload, out _), answer, out length);
            default:
                return StoreError.NoSuchCall;
        }
    }

    private static ReadOnlySpan<byte> TakeText(ref ReadOnlySpan<byte> payload, out bool ended)
    {
        int end = payload.IndexOf((byte)0);
        ended = end >= 0;
        ReadOnlySpan<byte> text = ended ? payload[..end] : payload;
        payload = ended ? payload[(end + 1)..] : default;
        return text;
    }

    private static bool TryParse(ReadOnlySpan<byte> text, out ushort number) => Utf8Parser.TryParse(text, out number, out int used) && used == text.Length;

    private static int WriteDone(Span<byte> answer)
    {
        "OK\0"u8.CopyTo(answer);
        return 3;
    }

    private static int WriteNumber(uint number, Span<byte> answer)
    {
        number.TryFormat(answer, out int length, provider: CultureInfo.InvariantCulture);
        answer[length] = 0;
        return length + 1;
    }

    // Letters with a domain each: "n0", "r1".
    private static bool TryParsePermissions(ReadOnlySpan<byte> payload, out StorePermissions permissions)
    {
        permissions = default;
        while (payload.Length > 0)
        {
            ReadOnlySpan<byte> text = TakeText(ref payload, out _);
            byte access = 0;
            bool known = text.Length > 1;
            switch (known ? text[0] : 0)
            {
                case (byte)'r':
                    access = StorePermissions.Read;
                    break;
                case (byte)'w':
                    access = StorePermissions.Write;
                    break;
                case (byte)'b':
                    access = StorePermissions.Read | StorePermissions.Write;
                    break;
                case (byte)'n':
                    break;
                default:
                    return false;
            }

            if (!TryParse(text[1..], out ushort domain))
            {
                return false;
            }

            if (permissions.Count == 0)
            {
                permissions = new StorePermissions(domain, access);
            }
            else if (!permissions.TryAdd(domain, access))
            {
                return false;
            }
        }

        return permissions.Count > 0;
    }

    private StoreError Read(StoreMessage type, uint transaction, ReadOnlySpan<byte> path, ReadOnlySpan<byte> argument, Span<byte> answer, out int length)
    {
        length = 0;
        if (!store.TryGetTree(transaction, out StoreTree tree, out _))
        {
            return StoreError.NoEntry;
        }

        int node = tree.Find(path, out int nearest);
        if (!tree.GetPermissions(nearest).Allows(DomainId.Guest, StorePermissions.Read))
        {
            return StoreError.Denied;
        }

        if (node < 0)
        {
            return StoreError.NoEntry;
        }

        switch (type)
        {
            case StoreMessage.Read:
                length = tree.GetValue(node, answer);
                return StoreError.None;
            case StoreMessage.GetPermissions:
                length = WritePermissions(tree.GetPermissions(node), answer);
                return StoreError.None;
            case StoreMessage.Directory:
                return WriteNames(tree, node, 0, answer, out length) ? StoreError.None : StoreError.TooBig;
            default:
                // A number for this state of the list, and names from an offset on; the end has a zero more.
                if (!Utf8Parser.TryParse(argument, out uint offset, out int used) || used != argument.Length)
                {
                    return StoreError.Invalid;
                }

                int digits = WriteNumber((uint)store.Generation, answer);
                bool all = WriteNames(tree, node, offset, answer[digits..^1], out length);
                length += digits;
                if (all)
                {
                    answer[length++] = 0;
                }

                return StoreError.None;
        }
    }

    private static int WritePermissions(in StorePermissions permissions, Span<byte> answer)
    {
        int length = 0;
        for (int i = 0; i < permissions.Count; i++)
        {
            (ushort domain, byte access) = permissions.Get(i);
            answer[length++] = access switch
            {
                0 => (byte)'n',
                StorePermissions.Read => (byte)'r',
                StorePermissions.Write => (byte)'w',
                _ => (byte)'b',
            };
            length += WriteNumber(domain, answer[length..]);
        }

        return length;
    }

    private static bool WriteNames(StoreTree tree, int node, uint offset, Span<byte> answer, out int length)
    {
        length = 0;
        Span<byte> name = stackalloc byte[StoreLimits.Path];
        uint passed = 0;
        for (int i = tree.GetFirstChild(node); i >= 0; i = tree.GetNext(i))
        {
            int size = tree.GetName(i, name);
            if (passed >= offset)
            {
                if (length + size + 1 > answer.Length)
                {
                    return false;
                }

                name[..size].CopyTo(answer[length..]);
                answer[length + size] = 0;
                length += size + 1;
            }

            passed += (uint)size + 1;
        }

        return true;
    }
}
