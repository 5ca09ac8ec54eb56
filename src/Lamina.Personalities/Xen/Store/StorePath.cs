namespace Lamina.Personalities.Xen.Store;

/// <summary>Paths of the store.</summary>
internal static class StorePath
{
    /// <summary>Where the guest's relative paths begin.</summary>
    internal static ReadOnlySpan<byte> Home => "/local/domain/1"u8;

    /// <summary>Makes a path absolute and checks it.</summary>
    /// <param name="given">As given.</param>
    /// <param name="path">Room for <see cref="StoreLimits.Path"/> bytes.</param>
    /// <param name="length">Its length there.</param>
    /// <returns><c>false</c> if it is none.</returns>
    internal static bool TryMakeAbsolute(ReadOnlySpan<byte> given, Span<byte> path, out int length)
    {
        length = 0;
        bool relative = given.Length > 0 && given[0] != '/';
        int prefix = relative ? Home.Length + 1 : 0;
        if (given.Length == 0 || given.Length + prefix > StoreLimits.Path || !IsValid(given))
        {
            return false;
        }

        if (relative)
        {
            Home.CopyTo(path);
            path[Home.Length] = (byte)'/';
        }

        given.CopyTo(path[prefix..]);
        length = given.Length + prefix;
        return true;
    }

    /// <summary>Whether a path is another, or below it.</summary>
    internal static bool IsWithin(ReadOnlySpan<byte> path, ReadOnlySpan<byte> other)
    {
        return path.StartsWith(other) && (path.Length == other.Length || path[other.Length] == '/' || other.Length == 1);
    }

    /// <summary>Whether it is the name of a node.</summary>
    internal static bool IsName(ReadOnlySpan<byte> name) => name.Length > 0 && !name.Contains((byte)'/') && IsValid(name);

    /// <summary>Whether it is a path that <see cref="TryMakeAbsolute"/> makes.</summary>
    internal static bool IsAbsolute(ReadOnlySpan<byte> path) => path.Length is > 0 and <= StoreLimits.Path && path[0] == '/' && IsValid(path);

    private static bool IsValid(ReadOnlySpan<byte> path)
    {
        if (path.Length > 1 && path[^1] == '/')
        {
            return false;
        }

        for (int i = 0; i < path.Length; i++)
        {
            byte c = path[i];
            bool allowed = c is (>= (byte)'a' and <= (byte)'z') or (>= (byte)'A' and <= (byte)'Z') or (>= (byte)'0' and <= (byte)'9') or (byte)'-' or (byte)'_' or (byte)'@'
                || (c == '/' && (i == 0 || path[i - 1] != '/'));
            if (!allowed)
            {
                return false;
            }
        }

        return true;
    }
}
