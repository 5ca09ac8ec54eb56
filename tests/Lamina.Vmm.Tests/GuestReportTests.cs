namespace Lamina.Vmm.Tests;

/// <summary>What a guest says of itself, which people see on their terminals.</summary>
public sealed class GuestReportTests
{
    [Theory]
    [InlineData("Debian GNU/Linux 12", "Debian GNU/Linux 12")]
    [InlineData("\u001b[2J\u009b31mred\r\n\0", "?[2J?31mred???")]
    [InlineData("fdp.\u202egnp\u2066x\u200b", "fdp.?gnp?x?")]
    [InlineData("a\u2028b\u2029c", "a?b?c")]
    [InlineData("\ud83d\ude00", "??")]
    [InlineData("m\u00fcller \u65e5\u672c", "m\u00fcller \u65e5\u672c")]
    [InlineData(" \t", null)]
    [InlineData(null, null)]
    public void WhatATerminalWouldActOnIsLeftOut(string? said, string? shown) => Assert.Equal(shown, GuestReport.Clean(said));

    [Fact]
    public void LongWordsAreShortened() => Assert.Equal(new string('x', 256), GuestReport.Clean(new string('x', 5000)));
}
