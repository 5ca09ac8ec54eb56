namespace Lamina.Management.Machines;

/// <summary>What a machine may be called.</summary>
public static class MachineName
{
    /// <summary>Longest name.</summary>
    public const int MaximumLength = 63;

    /// <summary>The rule, for messages.</summary>
    public const string Rule = "1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit";

    /// <summary>Whether it may be called so.</summary>
    public static bool IsValid(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.Length is > 0 and <= MaximumLength && char.IsAsciiLetterOrDigit(name[0]) && name.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
    }
}
