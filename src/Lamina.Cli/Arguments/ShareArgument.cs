using System.Globalization;
using System.Text;

namespace Lamina.Cli.Arguments;

/// <summary>The value of <c>--share</c>: a folder of the host, where the guest has it, and whether the guest may write.</summary>
internal sealed record ShareArgument(string Folder, string GuestPath, bool IsReadOnly)
{
    /// <summary>The tag of a share by its position.</summary>
    public static string GetTag(int index) => string.Create(CultureInfo.InvariantCulture, $"share{index}");

    /// <summary>Parses the value.</summary>
    /// <exception cref="LaminaException">It is not one, or there is no such folder.</exception>
    public static ShareArgument Parse(string text)
    {
        bool readOnly = text.EndsWith(":ro", StringComparison.Ordinal);
        string rest = readOnly ? text[..^3] : text.EndsWith(":rw", StringComparison.Ordinal) ? text[..^3] : text;
        int colon = rest.LastIndexOf(":/", StringComparison.Ordinal);
        if (colon <= 0 || rest.AsSpan(colon).ContainsAny('\n', '\r', '\\') || rest.Contains("/../", StringComparison.Ordinal) || rest.EndsWith("/..", StringComparison.Ordinal))
        {
            throw new LaminaException($"--share '{text}' is not accepted. Write DIRECTORY:/PATH, or DIRECTORY:/PATH:ro for reading only; PATH is where the guest has it.");
        }

        string folder = Path.GetFullPath(rest[..colon]);
        string path = rest[(colon + 1)..];
        return !Directory.Exists(folder) ? throw new LaminaException($"--share '{text}': there is no directory '{folder}'.")
            : path.Trim('/').Length == 0 ? throw new LaminaException($"--share '{text}': the guest cannot have it as its root directory.")
            : new ShareArgument(folder, path, readOnly);
    }

    /// <summary>What the guest's first process is told: a line a share.</summary>
    public static byte[] Describe(IReadOnlyList<ShareArgument> shares)
    {
        StringBuilder text = new();
        for (int i = 0; i < shares.Count; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"{GetTag(i)} {(shares[i].IsReadOnly ? "ro" : "rw")} {shares[i].GuestPath}\n");
        }

        return Encoding.UTF8.GetBytes(text.ToString());
    }
}
